type Content = bigint | Buffer;
type Read = (content: Content) => unknown;
/** Fields by their number: name, how the content is read, and whether there may be several. */
type Fields = Readonly<Record<number, readonly [name: string, read: Read, many?: 'many']>>;

const hex: Read = (content) => (content as Buffer).toString('hex');
const text: Read = (content) => (content as Buffer).toString();
const whole: Read = (content) => Number(BigInt.asIntN(64, content as bigint));
const truth: Read = (content) => content !== 0n;
const fixed64: Read = (content) => String((content as Buffer).readBigUInt64LE());
const double: Read = (content) => (content as Buffer).readDoubleLE();
const message =
  (fields: () => Fields): Read =>
  (content) =>
    decode(content as Buffer, fields());

const arrayValue: Fields = { 1: ['values', message(() => anyValue), 'many'] };
const anyValue: Fields = {
  1: ['stringValue', text],
  2: ['boolValue', truth],
  3: ['intValue', whole],
  4: ['doubleValue', double],
  5: ['arrayValue', message(() => arrayValue)],
};
const attribute: Fields = { 1: ['key', text], 2: ['value', message(() => anyValue)] };
const attributes = ['attributes', message(() => attribute), 'many'] as const;
const event: Fields = { 1: ['timeUnixNano', fixed64], 2: ['name', text], 3: attributes };
const link: Fields = { 1: ['traceId', hex], 2: ['spanId', hex], 4: attributes };
const status: Fields = { 2: ['message', text], 3: ['code', whole] };
const span: Fields = {
  1: ['traceId', hex],
  2: ['spanId', hex],
  4: ['parentSpanId', hex],
  5: ['name', text],
  6: ['kind', whole],
  7: ['startTimeUnixNano', fixed64],
  8: ['endTimeUnixNano', fixed64],
  9: attributes,
  11: ['events', message(() => event), 'many'],
  13: ['links', message(() => link), 'many'],
  15: ['status', message(() => status)],
};
const scopeSpans: Fields = { 2: ['spans', message(() => span), 'many'] };
const resource: Fields = { 1: attributes };
const resourceSpans: Fields = {
  1: ['resource', message(() => resource)],
  2: ['scopeSpans', message(() => scopeSpans), 'many'],
};
const request: Fields = { 1: ['resourceSpans', message(() => resourceSpans), 'many'] };

/**
 * An OTLP request for traces as it is in JSON.
 *
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/v1.3.2/opentelemetry/proto/trace/v1/trace.proto
 */
export function tracesOfProtobuf(bytes: Buffer): string {
  return JSON.stringify(decode(bytes, request));
}

/** @see https://protobuf.dev/programming-guides/encoding/ */
function decode(bytes: Buffer, fields: Fields): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Buffer => bytes.subarray(at, (at += length));
  while (at < bytes.length) {
    const tag = Number(varint());
    const content = { 0: varint, 1: () => take(8), 2: () => take(Number(varint())), 5: () => take(4) }[
      tag & 7
    ]!();
    const field = fields[tag >> 3];
    if (field === undefined) continue;
    const [name, read, many] = field;
    if (many === undefined) found[name] = read(content);
    else ((found[name] ??= []) as unknown[]).push(read(content));
  }
  return found;
}
