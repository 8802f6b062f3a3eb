import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { spansOfRequest, type RecordedSpan } from '@forge/telemetry';

/** Takes traces as a collector does: OTLP over HTTP, in JSON. */
export class OtlpReceiver {
  readonly spans: RecordedSpan[] = [];
  requests = 0;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<OtlpReceiver> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const receiver = new OtlpReceiver(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        receiver.requests += 1;
        const isTraces = request.method === 'POST' && request.url === '/v1/traces';
        if (isTraces) receiver.spans.push(...spansOfRequest(Buffer.concat(chunks).toString()));
        response.writeHead(isTraces ? 200 : 404, { 'content-type': 'application/json' }).end('{}');
      });
    });
    return receiver;
  }

  /** Variables of a service process, so that it sends its spans here. */
  get environment(): Record<string, string> {
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: this.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '200',
    };
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
