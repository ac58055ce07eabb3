import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Headers,
  HostParam,
  Ip,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  Param,
  type PipeTransform,
  Post,
  Query,
  Render,
  Req,
  Res,
  Sse,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { map, of, type Observable } from 'rxjs';
import { CacheResponse } from '../../lib/index.js';
import { HttpApp } from '../support/http-app.js';

@Controller('misplaced')
class Misplaced {
  @Post('posted')
  @CacheResponse()
  posted(): object {
    return {};
  }

  @Sse('streamed')
  @CacheResponse()
  streamed(): Observable<{ data: string }> {
    return of({ data: 'x' });
  }

  @Get('rendered')
  @Render('page')
  @CacheResponse()
  rendered(): object {
    return {};
  }

  @Get('sent')
  @CacheResponse()
  sent(@Res() response: { end(): void }): void {
    response.end();
  }

  @Get('passed')
  @CacheResponse()
  passed(@Res({ passthrough: true }) _response: object): object {
    return {};
  }
}

@Controller('whole')
@CacheResponse()
class Whole {
  @Post('posted')
  posted(): object {
    return {};
  }

  @Get('sent')
  sent(@Res() response: { end(): void }): void {
    response.end();
  }

  @Get('fine')
  fine(@Req() _request: object): object {
    return {};
  }
}

@Controller('read')
class Reading {
  @Get('region')
  @CacheResponse()
  region(@Headers('X-Region') region: string): object {
    return { region };
  }

  @Get('all')
  @CacheResponse()
  all(@Headers() headers: object, @Ip() ip: string): object {
    return { headers, ip };
  }

  @Get('key')
  @CacheResponse({ key: 'fixed' })
  key(@Ip() ip: string): object {
    return { ip };
  }

  @Get('named')
  @CacheResponse({ varyHeaders: ['x-region'] })
  named(@Headers('X-Region') region: string): object {
    return { region };
  }

  @Get('varied')
  @CacheResponse({ varyBy: ({ ip }: { ip: string }) => ip })
  varied(@Ip() ip: string): object {
    return { ip };
  }

  @Get('shared')
  @CacheResponse({ shared: true })
  shared(@Ip() _ip: string): object {
    return {};
  }

  @Get('personal')
  @CacheResponse()
  personal(@Headers('authorization') _who: string): object {
    return {};
  }

  @Get('uncached')
  uncached(@Ip() ip: string): object {
    return { ip };
  }
}

@Controller({ path: 'left-out', host: ':tenant.example.com' })
class LeavingOut {
  @Get('host')
  @CacheResponse({ hosts: false, shared: true })
  host(@HostParam('tenant') tenant: string): object {
    return { tenant };
  }

  @Get('template/:id/:part')
  @CacheResponse({ key: 'page:{params.id}:{query.page}' })
  template(
    @Param('id') id: string,
    @Param('part') part: string,
    @Query('page') page: string,
    @Query('lang') lang: string,
  ): object {
    return { id, part, page, lang };
  }

  @Get('ignored')
  @CacheResponse({ query: { ignore: ['utm_*'] } })
  ignored(@Query('utm_source') source: string, @Query('page') page: string): object {
    return { source, page };
  }

  @Get('whole/:id')
  @CacheResponse()
  whole(@HostParam('tenant') tenant: string, @Param('id') id: string, @Query('page') page: string): object {
    return { tenant, id, page };
  }

  @Get('function/:id')
  @CacheResponse({ hosts: false, key: () => 'all' })
  function(@Param('id') id: string, @HostParam('tenant') tenant: string): object {
    return { id, tenant };
  }

  @Get('by-host')
  @CacheResponse({ hosts: false, varyBy: ({ hosts }: { hosts: { tenant: string } }) => hosts.tenant })
  byHost(@HostParam('tenant') tenant: string): object {
    return { tenant };
  }
}

describe('the boot of an app with @CacheResponse', () => {
  let app: HttpApp;
  beforeAll(async () => {
    app = await HttpApp.open('express', { controllers: [Misplaced, Whole, Reading, LeavingOut] });
  });
  afterAll(() => app.close());

  const warning = (part: string): string => {
    const found = app.warnings.filter((text) => text.includes(part));
    expect(found).toHaveLength(1);
    return found[0] ?? '';
  };

  it('names each route on which it does nothing, and why', () => {
    const text = warning('does nothing on these routes');
    expect(/routes: (.*?)\. /.exec(text)?.[1]?.split(', ')).toEqual([
      'Misplaced.posted does not serve GET',
      'Misplaced.rendered renders a template (@Render)',
      'Misplaced.sent sends the response itself (@Res or @Next without passthrough)',
      'Misplaced.streamed sends events (@Sse)',
      'Whole.sent sends the response itself (@Res or @Next without passthrough)',
    ]);
    expect(text).toContain('@Cached');
  });

  it('names each handler that reads what its key does not depend on', () => {
    const text = warning('read what their keys do not depend on');
    expect(/for another: (.*?)\. /.exec(text)?.[1]?.split(', ')).toEqual([
      "Reading.all reads all headers (@Headers()) and the caller's address (@Ip)",
      "Reading.key reads the caller's address (@Ip)",
      "Reading.region reads the header 'x-region' (@Headers)",
    ]);
    expect(text).toMatch(/varyHeaders.*varyBy.*shared: true/);
  });

  it('names each handler that reads parts of the URL that its options leave out of the key', () => {
    const text = warning('leave out of their keys');
    expect(/get one answer: (.*?)\. /.exec(text)?.[1]?.split(', ')).toEqual([
      'LeavingOut.host reads the host (@HostParam)',
      "LeavingOut.ignored reads the query parameter 'utm_source' (@Query)",
      "LeavingOut.template reads the parameter 'part' (@Param) and the query parameter 'lang' (@Query)",
    ]);
  });
});

const ran = new Map<string, number>();
const count = (what: string): number => {
  const runs = (ran.get(what) ?? 0) + 1;
  ran.set(what, runs);
  return runs;
};

/** Adds how often it ran to the answer. */
const marking = (name: string): NestInterceptor => ({
  intercept: (_context: ExecutionContext, next: CallHandler) => {
    const runs = count(name);
    return next.handle().pipe(map((body: object) => ({ ...body, [name]: runs })));
  },
});

class Letting implements CanActivate {
  canActivate(): boolean {
    return count('guard') > 0;
  }
}

const pipe: PipeTransform = {
  transform: (value: unknown) => {
    count('pipe');
    return value;
  },
};

@Controller('order')
class Ordered {
  @UseInterceptors(marking('above'))
  @CacheResponse({ shared: true })
  @UseInterceptors(marking('below'))
  @UseGuards(Letting)
  @Get()
  get(@Query('q', pipe) _q: string): object {
    return { handler: count('handler') };
  }
}

describe('interceptors around the cache', () => {
  it('run for cached answers if they are bound below it, and are stored with the answer if above', async () => {
    const app = await HttpApp.open('express', { controllers: [Ordered] });
    try {
      expect(await app.json('/order')).toEqual({ handler: 1, above: 1, below: 1 });
      expect(await app.json('/order')).toEqual({ handler: 1, above: 1, below: 2 });
      expect(Object.fromEntries(ran)).toEqual({ guard: 2, below: 2, above: 1, pipe: 1, handler: 1 });
    } finally {
      await app.close();
    }
  });
});
