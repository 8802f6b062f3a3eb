export { absentAs, absentAsSync } from './absent-as';
export { replaceDirectory } from './replace-directory';
export { flush, replaceFile, replaceFileSync } from './replace-file';
