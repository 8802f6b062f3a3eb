/** The build of msgpackr that makes no functions of the names it finds in a message; it comes without types. */
declare module 'msgpackr/index-no-eval' {
  export { Packr } from 'msgpackr';
}
