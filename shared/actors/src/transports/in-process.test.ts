import { InProcessTransport } from './in-process';
import { transportConformance } from './transport.conformance';

transportConformance('inproc', () => Promise.resolve({ transport: new InProcessTransport() }));
