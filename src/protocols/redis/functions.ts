/** Libraries of functions: FUNCTION LOAD keeps them, FCALL runs them. */
import { LuaError, type LuaFunction, LuaFunction as LuaFunctionValue, LuaTable, type LuaValue } from '../../lib/lua/value.ts'
import { oneLine } from '../../lib/resp/reply.ts'
import { RedisError } from './errors.ts'
import { readShebang, type Scripting } from './scripting.ts'
import type { Server } from './server.ts'

export interface RegisteredFunction {
  readonly name: string
  readonly description: string | null
  readonly flags: ReadonlySet<string>
  readonly run: LuaFunction
  readonly library: Library
}

export interface Library {
  readonly name: string
  readonly code: string
  readonly functions: Map<string, RegisteredFunction>
}

const librariesMax = 10_000
const functionFlags = new Set(['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'])

export class Functions {
  readonly #server: Server
  readonly #scripting: Scripting
  readonly libraries = new Map<string, Library>()
  readonly functions = new Map<string, RegisteredFunction>()

  constructor(server: Server, scripting: Scripting) {
    this.#server = server
    this.#scripting = scripting
    for (const code of server.libraries().values()) this.#put(this.#read(code))
  }

  find(name: string): RegisteredFunction {
    const found = this.functions.get(name)
    if (found === undefined) throw new RedisError('ERR Function not found')
    return found
  }

  /** Returns its name. */
  load(code: string, replace: boolean): string {
    const library = this.#read(code)
    const present = this.libraries.get(library.name)
    if (present !== undefined && !replace) throw new RedisError(`ERR Library '${library.name}' already exists`)
    for (const name of library.functions.keys()) {
      const taken = this.functions.get(name)
      if (taken !== undefined && taken.library !== present) throw new RedisError(`ERR Function ${name} already exists`)
    }
    if (this.libraries.size >= librariesMax) throw new RedisError(`ERR at most ${librariesMax} libraries are kept`)
    if (present !== undefined) this.#drop(present)
    this.#put(library)
    this.#server.keepLibrary(library.name, code)
    return library.name
  }

  delete(name: string): void {
    const library = this.libraries.get(name)
    if (library === undefined) throw new RedisError('ERR Library not found')
    this.#drop(library)
    this.#server.keepLibrary(name, '')
  }

  flush(): void {
    this.libraries.clear()
    this.functions.clear()
    this.#server.keepLibrary('', '')
  }

  #put(library: Library): void {
    this.libraries.set(library.name, library)
    for (const [name, each] of library.functions) this.functions.set(name, each)
  }

  #drop(library: Library): void {
    this.libraries.delete(library.name)
    for (const name of library.functions.keys()) this.functions.delete(name)
  }

  #read(code: string): Library {
    if (!code.startsWith('#!')) throw new RedisError('ERR Missing library metadata')
    if (!code.includes('\n')) throw new RedisError('ERR Invalid library metadata')
    const engine = code.slice(2, code.indexOf('\n')).trim().split(/\s+/)[0] ?? ''
    if (engine.toLowerCase() !== 'lua') throw new RedisError(`ERR Engine '${engine}' not found`)
    const { others } = readShebang(code)
    const name = others.get('name')
    for (const each of others.keys())
      if (each !== 'name') throw new RedisError(`ERR Invalid metadata value given: ${each}=${others.get(each)}`)
    if (name === undefined) throw new RedisError('ERR Library name was not given')
    if (!/^[A-Za-z0-9_]+$/.test(name))
      throw new RedisError(
        'ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long',
      )
    const library: Library = { name, code, functions: new Map() }
    const run = this.#scripting.compile(code, '@user_function')
    this.#scripting.onRegister = (args) => register(library, args)
    try {
      this.#scripting.machine.begin(run, [])
    } catch (cause) {
      if (!(cause instanceof LuaError)) throw cause
      throw new RedisError(`ERR Error registering functions: ${oneLine(messageOf(cause))}`)
    } finally {
      this.#scripting.onRegister = null
    }
    if (library.functions.size === 0) throw new RedisError('ERR No functions registered')
    return library
  }
}

function messageOf({ value, message }: LuaError): string {
  const err = value instanceof LuaTable ? value.field('err') : undefined
  return typeof err === 'string' ? err : message.startsWith('user_function:') ? `@${message}` : message
}

function register(library: Library, args: readonly LuaValue[]): void {
  const [first] = args
  const options = first instanceof LuaTable && args.length === 1 ? first : null
  if (options === null && args.length !== 2) throw new LuaError('wrong number of arguments to redis.register_function')
  const name = options === null ? first : options.field('function_name')
  const run = options === null ? args[1] : options.field('callback')
  if (typeof name !== 'string')
    throw new LuaError(
      options === null
        ? 'first argument to redis.register_function must be a string'
        : 'redis.register_function must get a function name argument',
    )
  if (!(run instanceof LuaFunctionValue))
    throw new LuaError(
      options === null
        ? 'second argument to redis.register_function must be a function'
        : 'redis.register_function must get a callback argument',
    )
  if (!/^[A-Za-z0-9_]+$/.test(name))
    throw new LuaError(
      'Library names can only contain letters, numbers, or underscores(_) and must be at least one character long',
    )
  if (library.functions.has(name)) throw new LuaError('Function already exists in the library')
  const flags = new Set<string>()
  const given = options?.field('flags')
  if (given !== undefined && !(given instanceof LuaTable))
    throw new LuaError('flags argument to redis.register_function must be a table representing function flags')
  for (const flag of given?.list ?? []) {
    if (typeof flag !== 'string' || !functionFlags.has(flag)) throw new LuaError('unknown flag given')
    flags.add(flag)
  }
  const description = options?.field('description')
  library.functions.set(name, { name, description: typeof description === 'string' ? description : null, flags, run, library })
}
