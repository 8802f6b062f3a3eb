import { keepOnnxRuntimeQuiet } from '@forge/config';

// A worker thread has a copy of the environment, which onnxruntime does not read: its parent thread does this first.
keepOnnxRuntimeQuiet();
