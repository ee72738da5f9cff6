/** Listens in the place of the broker, passes everything on, and keeps what each connection sent. */
import { connect, createServer, type Server, type Socket } from 'node:net'

export async function record(port: number, drive: (port: number) => Promise<void>): Promise<Buffer[]> {
  const sent: Buffer[][] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const chunks: Buffer[] = []
    sent.push(chunks)
    const broker = connect(port, '127.0.0.1')
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
    }
    client.on('data', (chunk: Buffer) => chunks.push(chunk))
    client.pipe(broker)
    broker.pipe(client)
  })
  const own = await listen(server)
  try {
    await drive(own)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return sent.map((chunks) => Buffer.concat(chunks)).filter((stream) => stream.length > 0)
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}
