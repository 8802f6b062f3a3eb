export { createEngine, type Engine, type EngineOptions, type HostTensor, type Session } from './session';
