import { APPEND, HANDSHAKE } from './library.mjs';

/** CPU time of one core of the server, in us: a command with its way in and its answer, and what is in it. */
const COST = {
  append: 41,
  handshake: 48,
  read: 24,
  /** Of a record in the answer of a read. */
  record: 1,
  connect: 80,
  other: 22,
};
/** One way, between hosts of one data centre. */
const NETWORK_MS = 0.25;
const AT_ONCE = 1_000;
const LOG_LENGTH = 10_000;
/** How long nobody serves during a fail-over. */
const DOWN_MS = 1_000;

/** A server that does one thing after the other, each for its time. It knows the log, and nothing else. */
export class SimulatedServer {
  busyMs = 0;
  appended = 0;
  #clock;
  #freeAt = 0;
  #generation;
  #sequence = 0;
  #records = [];
  #waiting = new Set();
  #ports = new Set();
  #downUntil = 0;

  constructor(clock) {
    this.#clock = clock;
  }

  /** How long a command that comes now waits for its turn. */
  get delayMs() {
    return Math.max(0, this.#freeAt - this.#clock.monotonic());
  }

  template() {
    return {
      command: () => Promise.reject(new Error('a template')),
      duplicate: () => this.#connect(),
      connected: false,
      onStateChange: () => () => undefined,
      close: () => Promise.resolve(),
    };
  }

  cutAll() {
    for (const port of this.#ports) port.lose();
    this.#ports.clear();
    this.#waiting.clear();
  }

  /** Another server goes on, without the log. */
  failOver() {
    this.#generation = undefined;
    this.#sequence = 0;
    this.#records = [];
    this.#downUntil = this.#clock.monotonic() + DOWN_MS;
    this.cutAll();
  }

  #connect() {
    return new Promise((resolve, reject) => {
      this.#clock.schedule(NETWORK_MS, () => {
        if (this.#clock.monotonic() < this.#downUntil) return reject(new Error('connection refused'));
        this.#serve(COST.connect, () => {
          const port = new SimulatedPort((args, answer) => this.#arrive(port, args, answer), this.#clock);
          this.#ports.add(port);
          this.#clock.schedule(NETWORK_MS, () => resolve(port));
        });
      });
    });
  }

  /** In its turn, and then for `us`. */
  #serve(us, work) {
    this.busyMs += us / 1_000;
    this.#freeAt = Math.max(this.#freeAt, this.#clock.monotonic()) + us / 1_000;
    this.#clock.schedule(this.#freeAt - this.#clock.monotonic(), work);
  }

  #arrive(port, args, answer) {
    this.#clock.schedule(NETWORK_MS, () => {
      const command = commandOf(args);
      this.#serve(COST[command] ?? COST.other, () => {
        if (!port.connected) return;
        if (command === 'read') this.#read(port, args, answer);
        else this.#reply(answer, this.#execute(command, args));
      });
    });
  }

  #execute(command, args) {
    if (command === 'append') return this.#append(args);
    if (command === 'handshake') return this.#handshake(args);
    return 'OK';
  }

  #append(args) {
    const [generation, , , , record] = args.slice(3 + Number(args[2]));
    if (generation !== this.#generation) return 'GENERATION';
    const sequence = ++this.#sequence;
    this.appended++;
    this.#records.push([`${sequence}-0`, ['record', record]]);
    if (this.#records.length > 1.1 * LOG_LENGTH) this.#records = this.#records.slice(-LOG_LENGTH);
    for (const waiting of this.#waiting) this.#give(waiting);
    this.#waiting.clear();
    return [sequence, 0];
  }

  #handshake(args) {
    const [fresh] = args.slice(3 + Number(args[2]));
    this.#generation ??= fresh;
    const oldest = this.#records.length === 0 ? 0 : Number.parseInt(this.#records[0][0]);
    return [this.#generation, String(this.#sequence), String(oldest), [], this.#clock.now()];
  }

  #read(port, args, answer) {
    const from = Number.parseInt(args.at(-1));
    const waiting = { port, from, answer, name: args.at(-2) };
    if (from < this.#sequence) return this.#give(waiting, 'at once');
    this.#waiting.add(waiting);
    this.#clock.schedule(Number(args[4]), () => {
      if (this.#waiting.delete(waiting)) this.#serve(COST.read / 2, () => this.#reply(answer, null));
    });
  }

  #give({ port, from, answer, name }) {
    const first = this.#records.length === 0 ? 0 : Number.parseInt(this.#records[0][0]);
    const start = Math.max(0, from + 1 - first);
    const some = this.#records.slice(start, start + AT_ONCE);
    this.#serve(COST.record * some.length, () => {
      if (port.connected) this.#reply(answer, [[name, some]]);
    });
  }

  #reply(answer, value) {
    this.#clock.schedule(NETWORK_MS, () => answer(value));
  }
}

function commandOf(args) {
  if (args[0] === 'XREAD') return 'read';
  if (args[0] !== 'EVALSHA') return 'other';
  if (args[1] === APPEND.hash) return 'append';
  if (args[1] === HANDSHAKE.hash) return 'handshake';
  throw new Error('a script that is not simulated');
}

/** One connection. */
class SimulatedPort {
  connected = true;
  #listeners = new Set();
  #open = new Set();

  constructor(send, clock) {
    this.send = send;
    this.clock = clock;
  }

  command(args, { timeoutMs = Infinity } = {}) {
    if (!this.connected) return Promise.reject(new Error('the connection is closed'));
    return new Promise((resolve, reject) => {
      const fail = () => done(() => reject(new Error('the connection was lost')));
      const cancel =
        timeoutMs === Infinity
          ? () => undefined
          : this.clock.schedule(timeoutMs, () => done(() => reject(new Error('late'))));
      const done = (settle) => {
        cancel();
        this.#open.delete(fail);
        settle();
      };
      this.#open.add(fail);
      this.send(args, (value) => done(() => resolve(value)));
    });
  }

  duplicate() {
    return Promise.reject(new Error('not a template'));
  }

  onStateChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close() {
    this.lose();
    return Promise.resolve();
  }

  lose() {
    if (!this.connected) return;
    this.connected = false;
    for (const fail of this.#open) fail();
    for (const listener of this.#listeners) listener(false);
  }
}
