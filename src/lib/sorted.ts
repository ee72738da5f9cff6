/** Looking up in what is sorted. */

/** The index of the first number that is not smaller, in ascending ones; behind the last when all are smaller. */
export function firstAtOrAfter(ascending: readonly number[], wanted: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] as number) < wanted)
      low = middle + 1 // middle < high <= length
    else high = middle
  }
  return low
}

/** The index of the first number that is greater, in ascending ones; behind the last when none is. */
export function firstAfter(ascending: readonly number[], wanted: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] as number) <= wanted)
      low = middle + 1 // middle < high <= length
    else high = middle
  }
  return low
}
