/**
 * Splits a command line into options and the rest, by a table of what the command knows. `--name value` and `--name=value` are the same;
 * an unknown option is an error that names the nearest known one.
 */
import { didYouMean } from './nearest.ts'
import { UsageError } from './usage-error.ts'

export interface OptionSpec {
  /** Without the dashes. */
  readonly name: string
  /** How the value is shown in help; undefined for a switch. */
  readonly value?: string
  readonly repeatable?: boolean
  readonly help: string
}

export interface ParsedArguments {
  /** Values as written; a switch has the value `true`. */
  readonly options: ReadonlyMap<string, readonly string[]>
  readonly positionals: readonly string[]
}

export function parseArguments(args: readonly string[], specs: readonly OptionSpec[]): ParsedArguments {
  const options = new Map<string, string[]>()
  const positionals: string[] = []
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? ''
    if (argument === '--') {
      positionals.push(...args.slice(index + 1))
      break
    }
    if (!argument.startsWith('--')) {
      if (argument.startsWith('-') && argument !== '-') throw unknownOption(argument, specs)
      positionals.push(argument)
      continue
    }
    const equals = argument.indexOf('=')
    const name = equals === -1 ? argument.slice(2) : argument.slice(2, equals)
    const spec = specs.find((each) => each.name === name)
    if (spec === undefined) throw unknownOption(`--${name}`, specs)
    let value = equals === -1 ? undefined : argument.slice(equals + 1)
    if (spec.value === undefined) value ??= 'true'
    else if (value === undefined) {
      value = args[++index]
      if (value === undefined) throw new UsageError(`--${name} needs a value: --${name} ${spec.value}`)
    }
    const present = options.get(name)
    if (present === undefined) options.set(name, [value])
    else if (spec.repeatable === true) present.push(value)
    else throw new UsageError(`--${name} is given twice`)
  }
  return { options, positionals }
}

function unknownOption(written: string, specs: readonly OptionSpec[]): UsageError {
  const known = specs.map((spec) => `--${spec.name}`)
  return new UsageError(`unknown option ${written}${didYouMean(written, known)}`)
}

/** One line for each option. */
export function optionLines(specs: readonly OptionSpec[]): string {
  const left = specs.map((spec) => `--${spec.name}${spec.value === undefined ? '' : ` ${spec.value}`}`)
  const width = Math.max(...left.map((text) => text.length))
  return specs.map((spec, index) => `  ${(left[index] ?? '').padEnd(width)}  ${spec.help}`).join('\n')
}

/** The last value of an option, or undefined. */
export function optionValue(parsed: ParsedArguments, name: string): string | undefined {
  return parsed.options.get(name)?.at(-1)
}
