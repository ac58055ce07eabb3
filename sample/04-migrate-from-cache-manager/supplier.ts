import { Injectable } from '@nestjs/common';

/** Somebody else's slow service, which counts how often it is asked. */
@Injectable()
export class Supplier {
  calls = 0;

  async priceOf(product: string): Promise<number> {
    this.calls++;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return product.length * 100;
  }
}
