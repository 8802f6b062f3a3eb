// Writes docs/recipe.md from the schema of recipes.
import { writeFileSync } from 'node:fs';
import config from '@forge/config';

writeFileSync(new URL('../../docs/recipe.md', import.meta.url), config.recipeDocs());
