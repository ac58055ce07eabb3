import { expect, it } from '@jest/globals';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { OPERATION_ROUTES } from '../../lib/http/operation-routes.js';
import { OperationsApp, Operators } from '../support/operations-app.js';

it('an app that uses @nestjs/swagger describes every endpoint, its fields and what it does', async () => {
  const app = await OperationsApp.open('express', { metrics: { controller: { guards: [Operators] } } });
  try {
    const { paths } = SwaggerModule.createDocument(app.nest, new DocumentBuilder().setTitle('app').build());
    for (const { method, path, needs, summary, input } of OPERATION_ROUTES) {
      const found = paths[`/lane-cache/${path}`]?.[method === 'GET' ? 'get' : 'post'];
      if (needs === 'peek') {
        expect(found).toBeUndefined();
        continue;
      }
      expect(found).toMatchObject({ summary, tags: ['lane-cache'] });
      const inQuery = (found?.parameters ?? []).map((one) => ('name' in one ? one.name : ''));
      const inBody = JSON.stringify(found?.requestBody ?? {});
      for (const name of input) {
        if (method === 'GET') expect(inQuery).toContain(name);
        else expect(inBody).toContain(`"${name}":{"type"`);
      }
    }
  } finally {
    await app.close();
  }
});
