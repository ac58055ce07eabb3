import type { Flight, FlightPurpose } from './flight.js';

/** A key is computed at most this many times at once: one flight that was shut, and one that callers may join. */
const COMPUTATIONS_PER_KEY = 2;

/**
 * Which flights of a lane there are.
 *
 * Per key at most one flight can be joined. A flight whose fence was shut is left to end, and the next caller opens
 * another; when two are under way the next one is queued, shared by all who come.
 */
export class FlightBoard {
  private readonly joinable = new Map<string, Flight>();
  private readonly underWay = new Map<string, number>();
  private readonly open = new Set<Flight>();

  /** Flights that have started and have not ended. */
  get size(): number {
    return this.open.size;
  }

  all(): Iterable<Flight> {
    return this.open;
  }

  isOpen(flight: Flight): boolean {
    return this.open.has(flight);
  }

  /** The flight a caller of `purpose` may wait for. */
  of(key: string, purpose: FlightPurpose): Flight | undefined {
    const flight = this.joinable.get(key);
    if (flight === undefined || !flight.isJoinable) return undefined;
    if (purpose !== 'forced' || flight.purpose === 'forced') return flight;
    if (flight.fence !== undefined) return undefined;
    // It has not started: it can still go straight to the computation.
    flight.purpose = 'forced';
    return flight;
  }

  /** Whether another flight of the key has to wait for one to end. */
  isCrowded(key: string): boolean {
    return (this.underWay.get(key) ?? 0) >= COMPUTATIONS_PER_KEY;
  }

  /** Callers who come from here on join this flight. */
  announce(flight: Flight): void {
    flight.displaced = this.joinable.get(flight.key);
    this.joinable.set(flight.key, flight);
  }

  started(flight: Flight): void {
    this.open.add(flight);
    this.underWay.set(flight.key, (this.underWay.get(flight.key) ?? 0) + 1);
  }

  /** Returns the flight that may start now. */
  ended(flight: Flight): Flight | undefined {
    const { key } = flight;
    this.open.delete(flight);
    const left = (this.underWay.get(key) ?? 1) - 1;
    if (left > 0) this.underWay.set(key, left);
    else this.underWay.delete(key);
    this.withdraw(flight);
    const next = this.joinable.get(key);
    return next?.fence === undefined ? next : undefined;
  }

  /**
   * Nobody joins it any more, if it was the one to join. Callers may join again the one that it took the place of, if
   * that is still under way and counts.
   */
  withdraw(flight: Flight): void {
    const { key, displaced } = flight;
    if (this.joinable.get(key) !== flight) return;
    if (displaced !== undefined && this.open.has(displaced) && displaced.isJoinable) this.joinable.set(key, displaced);
    else this.joinable.delete(key);
  }
}
