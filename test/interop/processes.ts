/**
 * Starting, watching and ending the programs of a run. Every process is started in a group of its own and ended by that group's id;
 * whatever is still alive when this process exits is ended with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Record<string, string | undefined>
  readonly input?: string | Buffer
  /** After this the whole group is killed and the run counts as failed. */
  readonly timeoutMs?: number
  /** Called for each line of standard output and standard error. */
  readonly onLine?: (line: string, stream: 'out' | 'err') => void
}

export interface RunResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly timedOut: boolean
  readonly stdout: string
  readonly stderr: string
}

const OUTPUT_CHARS_MAX = 4 << 20
const alive = new Set<ChildProcess>()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))
process.on('exit', () => {
  for (const child of alive) signalGroup(child, 'SIGKILL')
})

/** A program that goes on running until it is stopped. */
export class Running {
  readonly child: ChildProcess
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  output = ''
  errors = ''

  constructor(command: string, args: readonly string[], options: RunOptions = {}) {
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    alive.add(this.child)
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => {
        this.errors += `${error.message}\n`
        alive.delete(this.child)
        resolve({ code: 127, signal: null })
      })
      this.child.once('close', (code, signal) => {
        alive.delete(this.child)
        resolve({ code, signal })
      })
    })
    const { stdin, stdout, stderr } = this.child
    // A program may end before it has read its input; that shows in its exit code.
    stdin?.on('error', () => undefined)
    stdin?.end(options.input ?? '')
    if (stdout !== null) {
      createInterface({ input: stdout }).on('line', (line) => {
        if (this.output.length < OUTPUT_CHARS_MAX) this.output += `${line}\n`
        options.onLine?.(line, 'out')
      })
    }
    if (stderr !== null) {
      createInterface({ input: stderr }).on('line', (line) => {
        if (this.errors.length < OUTPUT_CHARS_MAX) this.errors += `${line}\n`
        options.onLine?.(line, 'err')
      })
    }
  }

  get pid(): number {
    return this.child.pid ?? -1
  }

  get running(): boolean {
    return alive.has(this.child)
  }

  kill(signal: NodeJS.Signals): void {
    signalGroup(this.child, signal)
  }

  /** Asks it to end, and insists after `graceMs`. */
  async stop(graceMs = 10_000): Promise<void> {
    if (!this.running) return
    this.kill('SIGTERM')
    const insist = setTimeout(() => this.kill('SIGKILL'), graceMs)
    await this.exited
    clearTimeout(insist)
  }
}

export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const running = new Running(command, args, options)
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    running.kill('SIGKILL')
  }, options.timeoutMs ?? 60_000)
  const { code, signal } = await running.exited
  clearTimeout(timer)
  return { code, signal, timedOut, stdout: running.output, stderr: running.errors }
}

/** As {@link run}, but anything other than exit code 0 throws with the end of what the program said. */
export async function runOk(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(command, args, options)
  if (result.code !== 0) {
    const why = result.timedOut ? 'took too long' : `ended with ${result.code ?? result.signal}`
    throw new Error(`${command} ${args.join(' ')} ${why}\n${tail(result.stdout)}\n${tail(result.stderr)}`)
  }
  return result.stdout
}

export function tail(text: string, lines = 25): string {
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}

export async function portIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Where clients' own tests listen, or expect that nobody does. */
const portsOfOthers = new Set([9876, 9999, 10_000, 10_001, 12_345, 16_379, 16_380, 16_381, 20_324, 31_337])

/** A number that can be added to each of the ports so that all of them are free. */
export async function freePortOffset(ports: readonly number[]): Promise<number> {
  const highest = Math.max(...ports)
  // Below the range from which the kernel takes the ports of outgoing connections.
  const ceiling = 32_700 - highest
  for (let attempt = 0; attempt < 200; attempt++) {
    const offset = 2_000 + Math.floor(Math.random() * (ceiling - 2_000))
    if (ports.some((port) => portsOfOthers.has(port + offset))) continue
    const free = await Promise.all(ports.map((port) => portIsFree(port + offset)))
    if (free.every(Boolean)) return offset
  }
  throw new Error(`no offset found with which the ports ${ports.join(', ')} are free`)
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Already gone, which is what was wanted.
  }
}
