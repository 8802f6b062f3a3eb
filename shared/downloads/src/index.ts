export { requireSpace } from './disk-space';
export { downloadFile, partialBytes, shownAddress, type RemoteFile } from './download-file';
export { bytesInWords, cancelled, type DownloadProgress, type DownloadWatch } from './download-watch';
export { patientFetch, type DownloadSource } from './patient-fetch';
export { proxiedFetch, type FetchBounds } from './proxied-fetch';
export { proxyAgent } from './proxy-agent';
export { underLock } from './process-lock';
