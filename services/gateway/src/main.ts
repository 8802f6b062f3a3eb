import { servesModel } from '@forge/config';
import { runService } from '@forge/service-kit';

// A process does one or the other, and loads what that needs.
if (servesModel()) void import('./serving/serve-main.js').then(({ serveMain }) => serveMain());
else runService({ name: 'gateway', start: async (context) => (await import('./service.js')).start(context) });
