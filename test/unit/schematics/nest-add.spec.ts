import { describe, expect, it } from '@jest/globals';
import { nestAdd, type NestAddOptions, type Tree } from '../../../schematics/nest-add/index.js';

const MODULE = `import { Module } from '@nestjs/common';
import { AppService } from './app.service';

@Module({
  imports: [],
  providers: [AppService],
})
export class AppModule {}
`;
const MAIN = `import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module';

async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  await app.listen(process.env.PORT ?? 3000);
}
bootstrap();
`;
const FRESH = {
  'src/app.module.ts': MODULE,
  'src/main.ts': MAIN,
  'package.json': '{ "dependencies": { "rxjs": "^7.8.1" } }',
};

class Files implements Tree {
  constructor(readonly texts: Record<string, string>) {}
  read(path: string): string | null {
    return this.texts[path] ?? null;
  }
  create(path: string, content: string): void {
    if (path in this.texts) throw new Error(`${path} is there already`);
    this.texts[path] = content;
  }
  overwrite(path: string, content: string): void {
    if (!(path in this.texts)) throw new Error(`${path} is not there`);
    this.texts[path] = content;
  }
}

const add = (files: Readonly<Record<string, string>>, options: NestAddOptions = {}) => {
  const tree = new Files({ ...files });
  const [warnings, tasks]: [string[], string[]] = [[], []];
  const logger = { info: () => undefined, warn: (text: string) => void warnings.push(text) };
  nestAdd(options)(tree, { logger, addTask: (task) => tasks.push(task.toConfiguration().name) });
  return { files: tree.texts, warnings, tasks };
};
const moduleOf = (source: string, options?: NestAddOptions): string =>
  add({ ...FRESH, 'src/app.module.ts': source }, options).files['src/app.module.ts'] ?? '';
const mainOf = (source: string): string => add({ ...FRESH, 'src/main.ts': source }).files['src/main.ts'] ?? '';

describe('nest add', () => {
  it('adds the module, shutdown hooks and a line in .gitignore to a fresh app', () => {
    const { files, warnings, tasks } = add(FRESH);
    expect(files['src/app.module.ts']).toBe(
      MODULE.replace(
        `'./app.service';\n`,
        `'./app.service';\nimport { LaneCacheModule } from 'nestjs-lane-cache';\n`,
      ).replace('[]', '[LaneCacheModule.forRoot()]'),
    );
    expect(files['src/main.ts']).toBe(
      MAIN.replace('create(AppModule);\n', 'create(AppModule);\n  app.enableShutdownHooks();\n'),
    );
    expect(files['.gitignore']).toBe('.lane-cache\n');
    expect([warnings, tasks]).toEqual([[], []]);
  });

  it('changes nothing in an app that has it', () => {
    const once = add(FRESH).files;
    expect(add(once).files).toEqual(once);
    expect(add({ ...FRESH, '.gitignore': '/.lane-cache/\n' }).files['.gitignore']).toBe('/.lane-cache/\n');
    expect(add({ ...FRESH, '.gitignore': 'dist' }).files['.gitignore']).toMatch(/^dist\n[^]*\n\.lane-cache\n$/);
  });

  it.each([
    ['before others on a line', 'imports: [AModule]', 'imports: [LaneCacheModule.forRoot(), AModule]'],
    [
      'on a line of its own',
      'imports: [\n    AModule,\n  ]',
      'imports: [\n    LaneCacheModule.forRoot(),\n    AModule,\n  ]',
    ],
    ['into an empty list of two lines', 'imports: [\n  ]', 'imports: [LaneCacheModule.forRoot()\n  ]'],
    [
      'not into the imports of another module',
      'providers: [{ imports: [B] }],\n  imports: [A]',
      'providers: [{ imports: [B] }],\n  imports: [LaneCacheModule.forRoot(), A]',
    ],
    ['not into comments', '// imports: [\n  imports: [A]', '// imports: [\n  imports: [LaneCacheModule.forRoot(), A]'],
    [
      'not into texts',
      `x: 'imports: [',\n  imports: [A]`,
      `x: 'imports: [',\n  imports: [LaneCacheModule.forRoot(), A]`,
    ],
  ])('puts the module %s', (_, before, after) => {
    expect(moduleOf(MODULE.replace('imports: []', before))).toContain(after);
  });

  it('gives imports to a module that has none', () => {
    expect(moduleOf(MODULE.replace('  imports: [],\n', ''))).toContain(
      '@Module({\n  imports: [LaneCacheModule.forRoot()],\n  providers: [AppService],',
    );
    expect(moduleOf('@Module({})\nexport class AppModule {}\n')).toContain('imports: [LaneCacheModule.forRoot()]');
  });

  it('imports it first where no import ends with a semicolon', () => {
    const source = MODULE.replaceAll(';', '');
    expect(moduleOf(source)).toMatch(/^import \{ LaneCacheModule \} from 'nestjs-lane-cache';\nimport/);
  });

  it.each([
    ['with options', 'NestFactory.create(AppModule, { bufferLogs: true });'],
    ['of a type', 'NestFactory.create<NestExpressApplication>(AppModule);'],
    ['without a semicolon', 'NestFactory.create(AppModule)'],
    ['on several lines', "NestFactory.create(\n    AppModule,\n    new FastifyAdapter({ prefix: ')' }),\n  );"],
  ])('enables shutdown hooks of an app that is created %s', (_, creation) => {
    const source = MAIN.replace('NestFactory.create(AppModule);', creation);
    expect(mainOf(source)).toContain(`${creation}\n  app.enableShutdownHooks();\n`);
  });

  it('says what is to be done where it finds no place', () => {
    const { files, warnings } = add({ 'src/main.ts': 'start();\n', 'package.json': '{}' }, { redis: true });
    expect(files['src/main.ts']).toBe('start();\n');
    expect(warnings).toEqual([
      expect.stringMatching(/src\/app\.module\.ts .*LaneCacheModule\.forRoot\(\{ distributed/),
      expect.stringMatching(/src\/main\.ts .*enableShutdownHooks/),
    ]);
  });

  it('works in another source root', () => {
    const files = { 'apps/api/src/app.module.ts': MODULE, 'apps/api/src/main.ts': MAIN };
    expect(add(files, { sourceRoot: 'apps/api/src' }).warnings).toEqual([]);
  });

  it('shares through Redis with --redis, and installs a client unless there is one', () => {
    const { files, tasks } = add(FRESH, { redis: true });
    expect(files['src/app.module.ts']).toContain(
      "forRoot({ distributed: { url: process.env.REDIS_URL ?? 'redis://localhost:6379' } })",
    );
    expect(JSON.parse(files['package.json'] ?? '')).toEqual({ dependencies: { rxjs: '^7.8.1', redis: '^6.0.0' } });
    expect(tasks).toEqual(['node-package']);
    const has = { ...FRESH, 'package.json': '{ "dependencies": { "ioredis": "^5.0.0" } }' };
    expect(add(has, { redis: true })).toMatchObject({ tasks: [], files: { 'package.json': has['package.json'] } });
  });

  it('serves the page with --dashboard', () => {
    expect(moduleOf(MODULE, { dashboard: true })).toContain('forRoot({ dashboard: true })');
  });
});
