export {
  nested,
  pick,
  seededRandom,
  spoil,
  SPOILED_KINDS,
  type HostileValue,
  type Random,
} from './hostile-values';
export { BYTE_KINDS, hostileBytes, hostileJson, randomBytes, type HostileBytes } from './hostile-bytes';
export { HOSTILE_MSGPACK } from './hostile-msgpack';
export { hasTlsRedis, startGuardedRedis, type GuardedRedis } from './guarded-redis';
export { startLossyProxy, type LossyProxy } from './lossy-proxy';
export { hasOpenssl, selfSigned } from './self-signed';
export { missingDevice, missingWebGpu } from './missing-device';
export { engineCandidates, missingTensorflow, type EngineCandidate } from './engine-candidates';
export { isRunning, startTestRedis, type TestRedis } from './test-redis';
export { startTestCluster, type TestCluster } from './test-cluster';
export { waitFor } from './wait-for';
export { HubServer, type HubFault, type HubFiles, type HubRequest } from './hub-server';
export { startIndexServer, type IndexServer } from './index-server';
export { sendFile, type FileFault } from './send-file';
