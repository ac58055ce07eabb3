import { Injectable } from '@nestjs/common';

/** A slow external service that counts its calls. */
@Injectable()
export class Supplier {
  calls = 0;

  async priceOf(product: string): Promise<number> {
    this.calls++;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return product.length * 100;
  }
}
