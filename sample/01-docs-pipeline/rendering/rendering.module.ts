import { Module } from '@nestjs/common';
import { RendererService } from './renderer.service.js';

@Module({ providers: [RendererService], exports: [RendererService] })
export class RenderingModule {}
