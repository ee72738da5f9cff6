/** One bad connection, from its first byte to its end. */
import { connect } from 'node:net'
import type { Attack } from './mutate.ts'

/** One that sends more than the broker takes goes away after this. */
const stuckMs = 2_000

export interface Ended {
  readonly listener: string
  readonly attack: string
  readonly localPort: number
  /** It cannot tell whether it was answered: it did not read, or the answer was lost because it went on sending. */
  readonly deaf: boolean
  readonly closedByBroker: boolean
  /** The last bytes that it read. */
  readonly heardLast: Buffer
}

const heardLastBytes = 16

/** `waitMs`: how long it waits for the broker to be rid of it. */
export function attackWith(listener: string, port: number, attack: Attack, waitMs: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let localPort = 0
    let { deaf } = attack
    let leaving = false
    let closedByBroker = false
    let heardLast: Buffer = Buffer.alloc(0)
    const leave = (): void => {
      leaving = true
      if (attack.end === 'reset') socket.resetAndDestroy()
      else socket.destroy()
    }
    const stuck = setTimeout(leave, stuckMs)
    socket.setNoDelay(true)
    socket.on('connect', () => {
      localPort = socket.localPort ?? 0
      void send()
    })
    if (attack.deaf) socket.pause()
    else {
      socket.on('data', (chunk: Buffer) => {
        heardLast = Buffer.concat([heardLast, chunk.subarray(-heardLastBytes)]).subarray(-heardLastBytes)
      })
    }
    // With a half-open socket the end would be answered by itself.
    socket.on('end', () => {
      closedByBroker ||= !leaving
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (localPort === 0) {
        clearTimeout(stuck)
        reject(new Error(`no connection to ${listener}: ${error.message}`))
      } else {
        closedByBroker ||= !leaving
        deaf = true
      }
    })
    socket.on('close', () => {
      clearTimeout(stuck)
      resolve({ listener, attack: attack.name, localPort, deaf, closedByBroker, heardLast })
    })

    const send = async (): Promise<void> => {
      for (const chunk of attack.chunks) {
        if (socket.destroyed || leaving) return
        // Called with an error when the socket is destroyed before.
        await new Promise<void>((sent) => socket.write(chunk, () => sent()))
      }
      if (attack.end === 'wait') setTimeout(leave, waitMs)
      else leave()
    }
  })
}
