#!/usr/bin/env node
/**
 * The command line: one file a command. Exit codes: 0 done, 1 failed, 2 wrong usage.
 *
 * An error is one line, `multihead: CODE: message`; `--debug` adds the stack and its causes.
 */

import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { buildCommand } from './build';
import { doctorCommand } from './doctor';
import { embedCommand } from './embed';
import { failureLines, usageLine } from './failure';
import { fillMaskCommand } from './fill-mask';
import { generateCommand } from './generate';
import { infoCommand } from './info';
import { translateCommand } from './translate';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

function program(): Command {
  const { version, description } = require(join(__dirname, '..', '..', 'package.json')) as {
    version: string;
    description: string;
  };
  const root = new Command('multihead')
    .description(description)
    .version(version)
    .option('--debug', 'print the stack of an error and its causes')
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage.')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(usageLine(text)) });
  const commands = [
    embedCommand(),
    generateCommand(),
    translateCommand(),
    fillMaskCommand(),
    infoCommand(),
    doctorCommand(),
    buildCommand(),
  ];
  for (const command of commands) {
    // A command made on its own inherits nothing until it is told to.
    root.addCommand(command.copyInheritedSettings(root));
  }
  return root;
}

async function main(): Promise<number> {
  const root = program();
  try {
    await root.parseAsync();
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    for (const line of failureLines(error, root.opts()['debug'] === true ? 'stack' : 'line')) {
      console.error(line);
    }
    return EXIT_FAILURE;
  }
}

// A reader that has seen enough (`| head`) closes the pipe: the work is done, and nothing is wrong.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
void main().then((code) => {
  process.exitCode = code;
});
