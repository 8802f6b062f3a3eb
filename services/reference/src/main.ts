import { runService } from '@forge/service-kit';
import { start } from './service';

runService({ name: 'reference', start });
