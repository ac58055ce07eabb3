import { join } from 'node:path';
import { LocalCheckpointStore } from '../../lib/checkpoints/local-checkpoint-store.js';
import { openCheckpoints, removeDirectory, temporaryDirectory } from '../support/checkpoint-directory.js';
import { MemoryEnvironment } from '../support/checkpoint-environment.js';
import { HeardEvents } from '../support/checkpoints.js';
import { checkpointStoreContract } from './checkpoint-store.contract.js';

checkpointStoreContract('over memory', async () => ({
  store: new LocalCheckpointStore(new MemoryEnvironment(), new HeardEvents()),
  dispose: async () => undefined,
}));

checkpointStoreContract('over LMDB', async () => {
  const directory = await temporaryDirectory();
  const environment = await openCheckpoints(join(directory, 'checkpoints'));
  return {
    store: new LocalCheckpointStore(environment, new HeardEvents()),
    dispose: () => removeDirectory(directory),
  };
});
