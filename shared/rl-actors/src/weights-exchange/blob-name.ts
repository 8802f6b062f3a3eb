/** The file of a blob in any directory of blobs. */
export function blobName(sha256: string): string {
  return `${sha256}.safetensors`;
}
