import { keepOnnxRuntimeQuiet } from '@forge/config';

// A worker thread has a copy of the environment, which onnxruntime does not read: whoever starts one calls this first.
keepOnnxRuntimeQuiet();
