import type { Answer } from './operator/conversation.js';
import { OperatorServer } from './operator/operator-server.js';
import type { OwnerSocket } from './storage/owner-socket.js';
import type { DiskOptions } from './lane-cache.disk.js';

/** Answers other processes as long as this one owns the directory. One that cannot be asked is still a good owner. */
export async function listenToOthers(
  socket: OwnerSocket,
  answers: ReadonlyMap<string, Answer>,
  { clock, events, root, answering }: DiskOptions,
): Promise<OperatorServer | undefined> {
  if (answering === 'nobody') return undefined;
  try {
    await socket.clear();
    return await OperatorServer.listen(socket.path, answers, clock);
  } catch (error) {
    const detail = `other processes cannot reach the checkpoints in '${root}' through this one`;
    events.emit('tier', { tier: 'checkpoints', state: 'on', detail, error });
    return undefined;
  }
}
