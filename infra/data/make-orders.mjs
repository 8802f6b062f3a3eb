/** Writes `orders.jsonl` and `orders.test.jsonl`: an order in words, and the same as JSON. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const TRAIN = 800;
const TEST = 200;

const words = (text) => text.split(' ');
const CITIES = words(
  'Athens Berlin Boston Chicago Denver Dublin Geneva Lisbon London Madrid Milan Oslo Paris Prague Rome Vienna',
);
const ITEMS = [
  ...words('apples books candles chairs clocks lamps pencils'),
  ...['bags of rice', 'bottles of wine', 'boxes of tea', 'jars of honey'],
  ...['blue shirts', 'green umbrellas', 'red bicycles', 'white plates', 'wooden tables'],
];
const SENTENCES = [
  ({ item, amount, city }) => `Please send ${amount} ${item} to ${city}.`,
  ({ item, amount, city }) => `Our shop in ${city} needs ${amount} ${item}.`,
  ({ item, amount, city }) => `We are waiting in ${city} for ${amount} ${item}.`,
  ({ item, amount, city }) => `The ${amount} ${item} go to ${city}.`,
  ({ item, amount, city }) => `Could you ship ${amount} ${item} to ${city}?`,
  ({ item, amount, city }) => `${city} orders ${amount} ${item}.`,
];
const SMALL = words(
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen ' +
    'seventeen eighteen nineteen',
);
const TENS = words('- - twenty thirty forty fifty sixty seventy eighty ninety');

function inWords(number) {
  if (number < SMALL.length) return SMALL[number];
  const ones = number % 10;
  return TENS[Math.floor(number / 10)] + (ones === 0 ? '' : `-${SMALL[ones]}`);
}

/** Whole numbers below `bound` by Lehmer's generator, the same on every machine. */
let state = 1;
function draw(bound) {
  state = (state * 48271) % 2147483647;
  return Math.floor((state / 2147483647) * bound);
}
const pick = (list) => list[draw(list.length)];

const orders = new Map();
while (orders.size < TRAIN + TEST) {
  const order = { item: pick(ITEMS), quantity: 2 + draw(98), city: pick(CITIES) };
  orders.set(pick(SENTENCES)({ ...order, amount: inWords(order.quantity) }), order);
}
const lines = [...orders].map(([text, order]) =>
  JSON.stringify({ question: `Order: ${text}\nJSON:`, answer: JSON.stringify(order) }),
);
const write = (name, part) => writeFileSync(join(import.meta.dirname, name), `${part.join('\n')}\n`);
write('orders.jsonl', lines.slice(0, TRAIN));
write('orders.test.jsonl', lines.slice(TRAIN));
