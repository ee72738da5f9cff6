/** Recovery of the write-ahead log: what was confirmed comes back, a torn end is cut off, and any other damage is refused. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Random, SimulatedDisk } from '../../../test/simulation/disk.ts'
import { frameHeaderBytes } from '../interfaces.ts'
import { LocalWal, walFileBytes } from './wal.ts'

const directory = '/data/wal'
const firstFile = `${directory}/000000000000.wal`

function frameOf(body: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(frameHeaderBytes), body])
}

function write(wal: LocalWal, body: Buffer): Promise<void> {
  const frame = frameOf(body)
  return new Promise((resolve, reject) => wal.write(frame, frame.length, (error) => (error === null ? resolve() : reject(error))))
}

async function open(
  disk: SimulatedDisk,
  from = 0,
  fileBytes = 1024 * 1024,
): Promise<{ wal: LocalWal; bodies: string[]; positions: number[] }> {
  const wal = new LocalWal(disk, directory, true, fileBytes)
  const bodies: string[] = []
  const positions: number[] = []
  await wal.recover(from, (frame, position) => {
    bodies.push(frame.toString('latin1', frameHeaderBytes))
    positions.push(position)
  })
  return { wal, bodies, positions }
}

async function filled(bodies: readonly string[]): Promise<{ disk: SimulatedDisk; ends: number[] }> {
  const disk = new SimulatedDisk(new Random(1))
  const { wal } = await open(disk)
  const ends: number[] = []
  for (const body of bodies) {
    await write(wal, Buffer.from(body, 'latin1'))
    ends.push(wal.position)
  }
  await wal.close()
  return { disk, ends }
}

test('what was written comes back in order, also from a later position', async () => {
  const bodies = ['a', 'bb'.repeat(700), '', 'last']
  const { disk, ends } = await filled(bodies)
  assert.deepEqual((await open(disk)).bodies, bodies)
  assert.deepEqual((await open(disk, ends[1])).bodies, bodies.slice(2))
})

test('a tail torn at any byte of the last frame is cut off, and the log goes on there', async () => {
  const last = 'z'.repeat(150)
  const { disk, ends } = await filled(['first', 'second', last])
  const begin = ends[1] as number
  const whole = disk.bytesOf(firstFile, begin, frameHeaderBytes + last.length)
  for (let kept = 0; kept < whole.length; kept++) {
    const torn = Buffer.alloc(whole.length)
    whole.copy(torn, 0, 0, kept)
    disk.overwrite(firstFile, begin, torn)
    const { wal, bodies } = await open(disk)
    assert.deepEqual(bodies, ['first', 'second'], `kept ${kept} bytes`)
    assert.equal(wal.position, begin)
    if (kept % 40 === 0) {
      await write(wal, Buffer.from('again'))
      assert.deepEqual((await open(disk)).bodies, ['first', 'second', 'again'])
    }
  }
})

test('a damaged frame with whole ones after it is refused, whatever the damage is', async () => {
  const bodies = ['first', 'x'.repeat(2000), 'third', 'fourth']
  for (const damage of ['body', 'header', 'zeroes', 'whole block of zeroes'] as const) {
    const { disk, ends } = await filled(bodies)
    const at = ends[0] as number
    if (damage === 'body') disk.overwrite(firstFile, at + 100, Buffer.from('!'))
    if (damage === 'header') disk.overwrite(firstFile, at, Buffer.from('!'))
    if (damage === 'zeroes') disk.overwrite(firstFile, at, Buffer.alloc(frameHeaderBytes))
    if (damage === 'whole block of zeroes') disk.overwrite(firstFile, 0, Buffer.alloc(512))
    await assert.rejects(open(disk), /damaged frame/, damage)
  }
})

test('the log goes on over several files, and recycled ones do not bring back their earlier life', async () => {
  const disk = new SimulatedDisk(new Random(2))
  const { wal } = await open(disk, 0, walFileBytes)
  const big = Buffer.alloc(30 * 1024 * 1024, 1)
  for (let count = 0; count < 5; count++) await write(wal, big)
  const position = wal.position
  assert.ok(position > 2 * walFileBytes)
  await wal.trim(position)
  for (let count = 0; count < 3; count++) await write(wal, Buffer.from(`small ${count}`))
  await write(wal, big)
  await write(wal, Buffer.from('on a recycled file'))
  disk.crash()
  const { bodies } = await open(disk, position, walFileBytes)
  assert.deepEqual(
    bodies.map((body) => (body.length > 100 ? 'big' : body)),
    ['small 0', 'small 1', 'small 2', 'big', 'on a recycled file'],
  )
})

test('a crash during a write leaves the confirmed frames, and that one whole or not at all', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const disk = new SimulatedDisk(new Random(seed))
    const { wal } = await open(disk)
    const confirmed: string[] = []
    for (let count = 0; count < 3; count++) {
      const body = `${count}`.repeat(disk.random.below(3000))
      await write(wal, Buffer.from(body))
      confirmed.push(body)
    }
    const under = 'u'.repeat(disk.random.below(3000))
    void write(wal, Buffer.from(under))
    disk.crash()
    const { bodies } = await open(disk)
    assert.deepEqual(bodies.slice(0, 3), confirmed, `seed ${seed}`)
    assert.ok(bodies.length === 3 || (bodies.length === 4 && bodies[3] === under), `seed ${seed}`)
  }
})

test('files that were filled, left and recycled many times are read to the end, whatever stood behind their last frame', async () => {
  const fileBytes = 256 * 1024
  const disk = new SimulatedDisk(new Random(7))
  let from = 0
  let expected: string[] = []
  for (let life = 0; life < 12; life++) {
    const wal = new LocalWal(disk, directory, true, fileBytes)
    const found: string[] = []
    await wal.recover(from, (frame) => found.push(frame.toString('latin1', frameHeaderBytes)))
    assert.deepEqual(found, expected, `life ${life}`)
    for (let count = 0; count < 60; count++) {
      const body = String.fromCharCode(65 + (count % 26)).repeat(1 + disk.random.below(40_000))
      await write(wal, Buffer.from(body, 'latin1'))
      expected.push(body)
      if (count === 40) {
        from = wal.position
        expected = []
        await wal.trim(from)
      }
    }
    disk.crash()
  }
})

test('what a killed process left with the system alone is on the disk before anything is written behind it', async () => {
  const fileBytes = 64 * 1024
  for (let seed = 0; seed < 40; seed++) {
    const disk = new SimulatedDisk(new Random(seed))
    const start = async (): Promise<{ wal: LocalWal; bodies: string[] }> => {
      const wal = new LocalWal(disk, directory, true, fileBytes)
      const bodies: string[] = []
      await wal.recover(0, (frame) => bodies.push(frame.toString('latin1', frameHeaderBytes)))
      return { wal, bodies }
    }
    const { wal } = await start()
    await write(wal, Buffer.from('confirmed'))
    void write(wal, Buffer.from('under way'.repeat(100)))
    disk.kill()
    const second = await start()
    await write(second.wal, Buffer.from('after'))
    disk.crash()
    assert.deepEqual((await start()).bodies, [...second.bodies, 'after'], `seed ${seed}`)
  }
})

test('a file that a killed process made, but whose name was not on the disk yet, keeps what is written into it', async () => {
  const fileBytes = 64 * 1024
  for (let seed = 0; seed < 20; seed++) {
    const disk = new SimulatedDisk(new Random(seed))
    const { wal: dead } = await open(disk, 0, fileBytes)
    while (dead.position < fileBytes - 5000) await write(dead, Buffer.alloc(4000))
    const { syncDirectory } = disk
    disk.syncDirectory = () => new Promise(() => undefined)
    write(dead, Buffer.alloc(8000)).catch(() => undefined)
    const second = `${directory}/000000000001.wal`.slice(directory.length + 1)
    for (let turn = 0; turn < 1000 && !(await disk.list(directory)).includes(second); turn++)
      await new Promise((resolve) => setImmediate(resolve))
    disk.kill()
    disk.syncDirectory = syncDirectory
    const { wal: alive } = await open(disk, 0, fileBytes)
    assert.equal(alive.position, fileBytes, 'it goes on in the second file')
    await write(alive, Buffer.from('confirmed'))
    disk.crash()
    assert.ok((await open(disk, 0, fileBytes)).bodies.at(-1) === 'confirmed', `seed ${seed}`)
  }
})

test('a frame that the disk put in the place of another is damage, also at the end', async () => {
  const { disk, ends } = await filled(['first', 'second', 'third'])
  const [second = 0, third = 0] = ends
  const misplaced = disk.bytesOf(firstFile, third, frameHeaderBytes + 5)
  disk.overwrite(firstFile, second, misplaced)
  disk.overwrite(firstFile, third, Buffer.alloc(64))
  await assert.rejects(open(disk), /is damaged at byte/)
})

test('nothing is written before it is known where the log ends', async () => {
  const { disk } = await filled(['first'])
  const wal = new LocalWal(disk, directory, true, 1024 * 1024)
  await assert.rejects(write(wal, Buffer.from('too early')), /not recovered yet/)
  assert.deepEqual((await open(disk)).bodies, ['first'])
})
