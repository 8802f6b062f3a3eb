/**
 * Tells onnxruntime to keep to itself what it is used for: its binaries for Linux report sessions, names and hashes of
 * models among it, to their maker, and keep an id of the machine in its home directory. To be called in the main thread
 * before it loads; a value that is set stays.
 */
export function keepOnnxRuntimeQuiet(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
}
