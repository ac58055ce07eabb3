import { Module } from '@nestjs/common';
import { LinterService } from './linter.service.js';

@Module({ providers: [LinterService], exports: [LinterService] })
export class LintingModule {}
