import { Injectable } from '@nestjs/common';
import hljs from 'highlight.js/lib/common';
import { Marked } from 'marked';
import { Cached } from 'nestjs-lane-cache';
import { Corpus } from '../corpus/corpus.js';

/** The assumed language of a code block without one; trying all languages would take ten times as long. */
const LIKELY_LANGUAGES = ['bash', 'css', 'javascript', 'json', 'typescript', 'xml', 'yaml'];

@Injectable()
export class RendererService {
  private readonly marked = new Marked({ gfm: true, renderer: { code: ({ text, lang }) => highlight(text, lang) } });

  constructor(private readonly corpus: Corpus) {}

  /** A document as HTML, with its code highlighted. */
  @Cached({ lane: 'docs', key: 'html:{0}', tags: ['document:{0}'] })
  async render(path: string): Promise<string> {
    return await this.marked.parse(this.corpus.get(path).text);
  }
}

function highlight(code: string, info: string | undefined): string {
  const language = info?.split(/[\s,{]/, 1)[0] ?? '';
  const { value } = hljs.getLanguage(language)
    ? hljs.highlight(code, { language })
    : hljs.highlightAuto(code, LIKELY_LANGUAGES);
  return `<pre><code class="hljs">${value}</code></pre>\n`;
}
