import 'reflect-metadata';
import { Agent, request } from 'node:http';
import { CacheInterceptor, CacheModule } from '@nestjs/cache-manager';
import { Controller, Get, Module, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheResponse, LaneCacheModule } from '../library.mjs';
import { median } from '../race.mjs';
import { atMost, row } from '../row.mjs';

const PER_SECOND = 1_000;
const CONNECTIONS = 16;
const ROUNDS = 5;
const WARM_UP = 500;
const PATHS = { uncached: '/uncached', '@CacheResponse': '/ours', CacheInterceptor: '/nests' };

/**
 * 1,000 requests a second over connections that stay open, against one route three times: uncached, with
 * `@CacheResponse`, and with Nest's own interceptor. The client runs in the same process, so its work is in all of them.
 */
export async function httpRequests(scratch) {
  const app = await NestFactory.create(appModule(), { logger: false });
  scratch.onEnd(() => app.close());
  await app.listen(0, '127.0.0.1');
  const port = Number(new URL(await app.getUrl()).port);
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  scratch.onEnd(() => agent.destroy());
  const names = Object.keys(PATHS);
  for (const name of names) for (let n = 0; n < WARM_UP; n++) await ask(agent, port, PATHS[name]);
  const taken = new Map(names.map((name) => [name, { latency: [], cpu: [] }]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) {
      const { latency, cpu } = await second(() => ask(agent, port, PATHS[name]));
      taken.get(name).latency.push(latency);
      taken.get(name).cpu.push(cpu);
    }
  }
  return ['latency', 'cpu'].map((what) => {
    const medians = new Map(names.map((name) => [name, median(taken.get(name)[what])]));
    const ours = medians.get('@CacheResponse');
    return row(`HTTP, ${PER_SECOND} requests/s on Express, ${what} of a request`, 'us', medians, [
      atMost(ours, medians.get('uncached'), 1.5, 'the same route uncached'),
      atMost(ours, medians.get('CacheInterceptor'), 1.2, "Nest's CacheInterceptor"),
    ]);
  });
}

/** Sends the requests of one second, evenly. The median latency and the CPU time of a request, in microseconds. */
async function second(send) {
  const latencies = [];
  const pending = [];
  const before = process.cpuUsage();
  const startedAt = performance.now();
  for (let sent = 0; sent < PER_SECOND;) {
    const due = Math.min(PER_SECOND, Math.floor(((performance.now() - startedAt) * PER_SECOND) / 1_000) + 1);
    for (; sent < due; sent++) {
      const at = performance.now();
      pending.push(send().then(() => latencies.push((performance.now() - at) * 1_000)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  const { user, system } = process.cpuUsage(before);
  return { latency: median(latencies), cpu: (user + system) / PER_SECOND };
}

function ask(agent, port, path) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${path}: status ${answer.statusCode}`));
      answer.resume().on('end', resolve).on('error', reject);
    });
    sent.on('error', reject).end();
  });
}

const PAGE = Object.freeze({ id: 7, title: 'a page', text: 'x'.repeat(900), tags: ['a', 'b'] });

function appModule() {
  class Pages {
    uncached() {
      return PAGE;
    }
    ours() {
      return PAGE;
    }
    nests() {
      return PAGE;
    }
  }
  decorate(Pages, 'uncached', Get('uncached'));
  decorate(Pages, 'ours', Get('ours'), CacheResponse({ ttl: '1h' }));
  decorate(Pages, 'nests', Get('nests'), UseInterceptors(CacheInterceptor));
  Controller()(Pages);
  function App() {}
  Module({
    imports: [LaneCacheModule.forRoot({ directory: false }), CacheModule.register({ ttl: 3_600_000 })],
    controllers: [Pages],
  })(App);
  return App;
}

function decorate(type, name, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, name);
  for (const decorator of decorators) decorator(type.prototype, name, descriptor);
}
