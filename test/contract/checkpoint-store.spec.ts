import { LocalCheckpointStore } from '../../lib/checkpoints/local-checkpoint-store.js';
import { MemoryEnvironment } from '../support/checkpoint-environment.js';
import { HeardEvents } from '../support/checkpoints.js';
import { StorageBench } from '../support/storage.js';
import { checkpointStoreContract } from './checkpoint-store.contract.js';

checkpointStoreContract('over memory', async () => ({
  store: new LocalCheckpointStore(new MemoryEnvironment(), new HeardEvents()),
  dispose: async () => undefined,
}));

checkpointStoreContract('over LMDB', async () => {
  const bench = new StorageBench();
  const options = { durability: 'durable', onMarkerLeft: 'probe' } as const;
  const { environment } = await bench.environment(await bench.path('checkpoints'), options);
  return { store: new LocalCheckpointStore(environment, new HeardEvents()), dispose: () => bench.dispose() };
});
