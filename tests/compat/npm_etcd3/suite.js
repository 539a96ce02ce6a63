// SPDX-License-Identifier: Apache-2.0
//
// Uses a cluster through npm's etcd3 while its members are killed and restarted; exits with 1 at
// the first wrong answer.
'use strict';

const assert = require('assert');
const { Etcd3, EtcdLockFailedError } = require('etcd3');

const hosts = process.env.ENDPOINTS.split(',').map((endpoint) => `http://${endpoint}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What may be repeated is, until it has an answer: members go away under it.
async function insist(what, call) {
  for (const end = Date.now() + 20000; ;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what}: ${error.message}`);
      await sleep(100);
    }
  }
}

async function keyValue(client) {
  await insist('put', () => client.put('npm/a').value('1'));
  assert.strictEqual(await insist('get', () => client.get('npm/a').string()), '1');
  assert.deepStrictEqual(await insist('all', () => client.getAll().prefix('npm/').strings()),
    { 'npm/a': '1' });
  const changed = await insist('txn', () => client.if('npm/a', 'Value', '==', '1')
    .then(client.put('npm/b').value('2')).else(client.get('npm/a')).commit());
  assert.strictEqual(changed.succeeded, true);
  await insist('delete', () => client.delete().prefix('npm/'));
}

// Each change is told of once and in order, whoever dies meanwhile.
async function watch(client) {
  const watcher = await client.watch().prefix('npm/w/').create();
  const told = [];
  watcher.on('put', (datum) => told.push(Number(datum.value.toString())));
  const wrote = [];
  for (let i = 0; i < 100; i++) {
    // A repeated put may be there twice: its number then is, too.
    await insist('put', () => client.put('npm/w/key').value(i));
    wrote.push(i);
    await sleep(80);
  }
  for (const end = Date.now() + 20000; told[told.length - 1] !== 99 && Date.now() < end;) {
    await sleep(50);
  }
  assert.deepStrictEqual([...new Set(told)], wrote, 'what the watcher was told');
  assert.ok(told.every((value, i) => i === 0 || value >= told[i - 1]), 'in order');
  await watcher.cancel();
}

async function lease(client) {
  const kept = client.lease(5);
  await insist('put with a lease', () => kept.put('npm/lease').value('kept'));
  await sleep(9000);
  assert.strictEqual(await insist('get', () => client.get('npm/lease').string()), 'kept',
    'a lease that is kept alive');
  await insist('revoke', () => kept.revoke());
  assert.strictEqual(await insist('get', () => client.get('npm/lease').string()), null,
    'a lease that was revoked');
}

async function lock(client) {
  let inside = 0;
  const holders = [];
  const hold = async (name) => {
    for (const end = Date.now() + 30000; ;) {
      try {
        await client.lock('npm/lock').ttl(10).do(async () => {
          inside++;
          assert.strictEqual(inside, 1, 'one holder at a time');
          await sleep(100);
          inside--;
          holders.push(name);
        });
        return;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        if (Date.now() > end) throw error;
        await sleep(200);
      }
    }
  };
  await Promise.all(['a', 'b', 'c'].map(hold));
  assert.strictEqual(new Set(holders).size, 3);
  assert.ok(EtcdLockFailedError);
}

async function election(client) {
  const race = client.election('npm/election', 5);
  const first = race.campaign('first');
  await new Promise((resolve, reject) => {
    first.on('elected', resolve);
    first.on('error', reject);
  });
  assert.strictEqual(await insist('leader', () => race.leader()), 'first');
  await first.resign();
}

async function main() {
  const client = new Etcd3({ hosts, dialTimeout: 3000 });
  for (const [name, step] of Object.entries({ keyValue, watch, lease, lock, election })) {
    await step(client);
    console.log(`${name}: as it should be`);
  }
  client.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
