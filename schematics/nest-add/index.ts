// `nest add nestjs-lane-cache`. It needs nothing of the packages that run it, which the library cannot always reach.
import { withAppCall, withImport, withModuleImport } from './source-edits.js';

/** As much of a schematic's tree of files as is used. */
export interface Tree {
  read(path: string): { toString(): string } | null;
  create(path: string, content: string): void;
  overwrite(path: string, content: string): void;
}

export interface Context {
  readonly logger: { info(text: string): void; warn(text: string): void };
  addTask(task: { toConfiguration(): { readonly name: string; readonly options: object } }): unknown;
}

export interface NestAddOptions {
  readonly sourceRoot?: string;
  readonly redis?: boolean;
  readonly dashboard?: boolean;
}

const REDIS_VERSION = '^6.0.0';
const FOLDER = '.lane-cache';

/** Adds the module, shutdown hooks and a line in .gitignore. What is there already stays. */
export const nestAdd =
  ({ sourceRoot = 'src', redis = false, dashboard = false }: NestAddOptions) =>
  (tree: Tree, context: Context): void => {
    const call = moduleCall(redis, dashboard);
    addModule(tree, context, `${sourceRoot}/app.module.ts`, call);
    addShutdownHooks(tree, context, `${sourceRoot}/main.ts`);
    addIgnoredFolder(tree);
    if (redis) addRedis(tree, context);
    if (dashboard) context.logger.info('The app serves the dashboard at /lane-cache/dashboard.');
    context.logger.info('The next step: @Cached() above a slow method, see node_modules/nestjs-lane-cache/README.md.');
  };

function moduleCall(redis: boolean, dashboard: boolean): string {
  const options = [
    ...(redis ? ["distributed: { url: process.env.REDIS_URL ?? 'redis://localhost:6379' }"] : []),
    ...(dashboard ? ['dashboard: true'] : []),
  ];
  return `LaneCacheModule.forRoot(${options.length === 0 ? '' : `{ ${options.join(', ')} }`})`;
}

function addModule(tree: Tree, { logger }: Context, path: string, call: string): void {
  const source = textOf(tree, path);
  if (source?.includes('LaneCacheModule') === true) return;
  const edited = source === undefined ? undefined : withModuleImport(source, call);
  if (edited === undefined) {
    logger.warn(`${path} has no module that can be edited. Add ${call} to the imports of your module.`);
    return;
  }
  tree.overwrite(path, withImport(edited, "import { LaneCacheModule } from 'nestjs-lane-cache';"));
}

function addShutdownHooks(tree: Tree, { logger }: Context, path: string): void {
  const source = textOf(tree, path);
  if (source?.includes('enableShutdownHooks') === true) return;
  const edited = source === undefined ? undefined : withAppCall(source, 'enableShutdownHooks()');
  if (edited !== undefined) tree.overwrite(path, edited);
  else logger.warn(`${path} creates no app that can be edited. Call app.enableShutdownHooks() before the app listens.`);
}

function addIgnoredFolder(tree: Tree): void {
  const before = textOf(tree, '.gitignore');
  if (before === undefined) tree.create('.gitignore', `${FOLDER}\n`);
  else if (!before.split(/\r?\n/).some((line) => line.replaceAll('/', '') === FOLDER)) {
    tree.overwrite('.gitignore', `${before.replace(/\n*$/, '\n')}\n# nestjs-lane-cache\n${FOLDER}\n`);
  }
}

/** Adds a client and installs it, unless the app has one. */
function addRedis(tree: Tree, context: Context): void {
  const path = 'package.json';
  const manifest: { dependencies?: Record<string, string> } = JSON.parse(textOf(tree, path) ?? '{}');
  const { dependencies = {} } = manifest;
  if ('redis' in dependencies || 'ioredis' in dependencies) return;
  const changed = { ...manifest, dependencies: { ...dependencies, redis: REDIS_VERSION } };
  tree.overwrite(path, `${JSON.stringify(changed, undefined, 2)}\n`);
  context.addTask({ toConfiguration: () => ({ name: 'node-package', options: { command: 'install', quiet: true } }) });
}

function textOf(tree: Tree, path: string): string | undefined {
  return tree.read(path)?.toString();
}
