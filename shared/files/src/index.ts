export { absentAs, absentAsSync } from './absent-as';
export { freeDiskBytes } from './free-disk-bytes';
export { replaceDirectory } from './replace-directory';
export { flush, replaceFile, replaceFileSync } from './replace-file';
