import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { NestFactory, SerializedGraph } from '@nestjs/core';
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import {
  Cached,
  CacheManager,
  CacheResponse,
  LaneCacheModule,
  type LaneCacheOptions,
  type LaneCacheOptionsFactory,
} from '../../lib/index.js';
import { freePort } from '../support/free-port.js';

const MEMORY = { directory: false, checkpoints: false } as const;

@Injectable()
class Counter {
  calls = 0;

  @Cached({ key: 'count:{0}' })
  async count(name: string): Promise<string> {
    return `${name} ${++this.calls}`;
  }
}

@Controller()
class Ends {
  constructor(@Inject(Counter) private readonly counter: Counter) {}

  @Get('count')
  @CacheResponse()
  get(): Promise<string> {
    return this.counter.count('http');
  }

  @MessagePattern('count')
  @CacheResponse()
  message(name: string): Promise<string> {
    return this.counter.count(name);
  }
}

@Module({ imports: [LaneCacheModule.forRoot(MEMORY)], providers: [Counter], controllers: [Ends] })
class AppModule {}

const settings = () => ({ CACHE_LANE: 'docs', CACHE_TTL: '90s' });

const read = (service: ConfigService): LaneCacheOptions => ({
  ...MEMORY,
  lane: service.getOrThrow<string>('CACHE_LANE'),
  lanes: { docs: { ttl: service.getOrThrow<'90s'>('CACHE_TTL') } },
});

describe('an app', () => {
  const opened: Pick<INestApplicationContext, 'close'>[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((app) => app.close()));
  });

  function open<A extends Pick<INestApplicationContext, 'close'>>(app: A): A {
    opened.push(app);
    return app;
  }

  describe('configured by ConfigService', () => {
    const config = ConfigModule.forRoot({ load: [settings], ignoreEnvFile: true });

    @Injectable()
    class CacheSettings implements LaneCacheOptionsFactory {
      constructor(@Inject(ConfigService) private readonly service: ConfigService) {}

      createLaneCacheOptions(): LaneCacheOptions {
        return read(this.service);
      }
    }

    @Module({ imports: [config], providers: [CacheSettings], exports: [CacheSettings] })
    class SettingsModule {}

    it.each([
      ['useFactory', LaneCacheModule.forRootAsync({ imports: [config], inject: [ConfigService], useFactory: read })],
      ['useClass', LaneCacheModule.forRootAsync({ imports: [config], useClass: CacheSettings })],
      ['useExisting', LaneCacheModule.forRootAsync({ imports: [SettingsModule], useExisting: CacheSettings })],
    ])('takes its settings by %s', async (_, cacheModule) => {
      @Module({ imports: [cacheModule] })
      class Configured {}
      const app = open(await NestFactory.createApplicationContext(Configured, { logger: false }));
      expect(app.get(CacheManager)).toMatchObject({ lane: 'docs', policy: { ttlMs: 90_000 } });
    });
  });

  it('without a server caches, and closes once', async () => {
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    const counter = app.get(Counter);
    expect([await counter.count('a'), await counter.count('a')]).toEqual(['a 1', 'a 1']);
    await app.close();
    await app.close();
    expect(await counter.count('a')).toBe('a 2');
  });

  it('closes its cache on a signal, with enableShutdownHooks', async () => {
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    app.enableShutdownHooks(['SIGUSR2']);
    const counter = app.get(Counter);
    expect([await counter.count('a'), await counter.count('a')]).toEqual(['a 1', 'a 1']);
    // Nest ends the process by the same signal once the hooks have run
    const ended = new Promise<void>((resolve) => {
      jest.spyOn(process, 'kill').mockImplementation(() => {
        resolve();
        return true;
      });
    });
    process.emit('SIGUSR2', 'SIGUSR2');
    await ended;
    jest.restoreAllMocks();
    expect(await counter.count('a')).toBe('a 2');
  });

  it('that is a microservice caches its methods, and passes messages by @CacheResponse', async () => {
    const port = await freePort();
    const options = { host: '127.0.0.1', port };
    const app = open(
      await NestFactory.createMicroservice(AppModule, { transport: Transport.TCP, options, logger: false }),
    );
    await app.listen();
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
    try {
      const ask = (name: string) => firstValueFrom(client.send<string>('count', name));
      expect([await ask('a'), await ask('a'), await ask('b')]).toEqual(['a 1', 'a 1', 'b 2']);
    } finally {
      client.close();
    }
  });

  it('that is both shares one cache', async () => {
    const port = await freePort();
    const options = { host: '127.0.0.1', port };
    const app = open(await NestFactory.create(AppModule, { logger: false }));
    app.connectMicroservice({ transport: Transport.TCP, options }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
    try {
      const byHttp = await fetch(`${await app.getUrl()}/count`);
      expect(await byHttp.text()).toBe('http 1');
      expect(await firstValueFrom(client.send<string>('count', 'http'))).toBe('http 1');
      expect(app.get(Counter).calls).toBe(1);
    } finally {
      client.close();
    }
  });

  it('can be shown by the devtools', async () => {
    @Module({
      imports: [LaneCacheModule.forRoot({ ...MEMORY, provideCacheManager: true, metrics: { controller: true } })],
      providers: [Counter],
    })
    class Drawn {}
    const app = open(await NestFactory.create(Drawn, { logger: false, snapshot: true }));
    await app.init();
    const { nodes }: { nodes: Record<string, { label: string }> } = JSON.parse(app.get(SerializedGraph).toString());
    const labels = Object.values(nodes).map(({ label }) => label);
    expect(labels).toEqual(
      expect.arrayContaining(['LaneCacheModule', 'CacheManager', 'CACHE_MANAGER', 'LaneCacheController']),
    );
  });
});
