import { checkpointsInMemory, checkpointsOver } from '../support/checkpoints.js';
import { StorageBench } from '../support/storage.js';
import { checkpointStoreContract } from './checkpoint-store.contract.js';

checkpointStoreContract('over memory', async () => ({
  store: checkpointsInMemory().store,
  dispose: async () => undefined,
}));

checkpointStoreContract('over LMDB', async () => {
  const bench = new StorageBench();
  const options = { durability: 'durable', onMarkerLeft: 'probe' } as const;
  const { environment } = await bench.environment(await bench.path('checkpoints'), options);
  return { store: checkpointsOver(environment).store, dispose: () => bench.dispose() };
});
