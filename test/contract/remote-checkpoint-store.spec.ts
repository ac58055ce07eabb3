import { systemClock } from '../../lib/clock/clock.js';
import { checkpointAnswers, RemoteCheckpointStore } from '../../lib/ipc/remote-checkpoint-store.js';
import { IpcServer } from '../../lib/ipc/server.js';
import { checkpointsInMemory } from '../support/checkpoints.js';
import { StorageBench } from '../support/storage.js';
import { checkpointStoreContract } from './checkpoint-store.contract.js';

checkpointStoreContract("over the owner's socket", async () => {
  const bench = new StorageBench();
  const path = await bench.path('owner.sock');
  const { store: owned } = checkpointsInMemory();
  const server = await IpcServer.listen(path, new Map(checkpointAnswers(() => owned)), systemClock);
  return {
    store: new RemoteCheckpointStore({ path, clock: systemClock, deadlineMs: 60_000 }),
    dispose: async () => {
      await server.close();
      await owned.close();
      await bench.dispose();
    },
  };
});
