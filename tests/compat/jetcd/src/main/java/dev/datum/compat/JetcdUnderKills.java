// SPDX-License-Identifier: Apache-2.0
package dev.datum.compat;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.election.CampaignResponse;
import io.etcd.jetcd.election.LeaderResponse;
import io.etcd.jetcd.lease.LeaseKeepAliveResponse;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.support.CloseableClient;
import io.etcd.jetcd.watch.WatchEvent;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** jetcd's watch, lease, lock and election clients while members are killed and restarted. */
public final class JetcdUnderKills {
  private final Client client;

  private JetcdUnderKills(String endpoints) {
    String[] urls = endpoints.split(",");
    for (int i = 0; i < urls.length; i++) urls[i] = "http://" + urls[i];
    client = Client.builder().endpoints(urls).build();
  }

  public static void main(String[] arguments) throws Exception {
    JetcdUnderKills suite = new JetcdUnderKills(System.getenv("ENDPOINTS"));
    suite.watch();
    System.out.println("watch: as it should be");
    suite.lease();
    System.out.println("lease: as it should be");
    suite.lock();
    System.out.println("lock: as it should be");
    suite.election();
    System.out.println("election: as it should be");
    suite.client.close();
    System.exit(0);
  }

  /** Each change is told of, once and in order, whoever dies meanwhile. */
  private void watch() throws Exception {
    List<Long> told = new CopyOnWriteArrayList<>();
    List<Integer> values = new CopyOnWriteArrayList<>();
    WatchOption option = WatchOption.builder().isPrefix(true).build();
    Watch.Watcher watcher = client.getWatchClient().watch(bytes("jetcd/w/"), option, response -> {
      for (WatchEvent event : response.getEvents()) {
        told.add(event.getKeyValue().getModRevision());
        values.add(Integer.valueOf(event.getKeyValue().getValue().toString(UTF_8)));
      }
    });
    List<Integer> wrote = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      String value = Integer.toString(i);
      insist(() -> client.getKVClient().put(bytes("jetcd/w/key"), bytes(value)));
      wrote.add(i);
      Thread.sleep(100);
    }
    long end = System.currentTimeMillis() + 20_000;
    while ((values.isEmpty() || values.get(values.size() - 1) != 99)
        && System.currentTimeMillis() < end) {
      Thread.sleep(50);
    }
    for (int i = 1; i < told.size(); i++) {
      check(told.get(i) > told.get(i - 1), "revisions rise, each comes once: " + told);
    }
    // A put that was repeated may be there twice.
    check(values.stream().distinct().toList().equals(wrote), "each put is told of: " + values);
    watcher.close();
  }

  private void lease() throws Exception {
    long kept = insist(() -> client.getLeaseClient().grant(5)).getID();
    AtomicInteger renewals = new AtomicInteger();
    CloseableClient renewing = client.getLeaseClient().keepAlive(kept, new StreamObserver<>() {
      @Override
      public void onNext(LeaseKeepAliveResponse response) {
        renewals.incrementAndGet();
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {}
    });
    PutOption withLease = PutOption.builder().withLeaseId(kept).build();
    insist(() -> client.getKVClient().put(bytes("jetcd/lease"), bytes("kept"), withLease));
    Thread.sleep(9_000);
    check(insist(() -> client.getKVClient().get(bytes("jetcd/lease"))).getCount() == 1,
        "a lease that is kept alive is there");
    check(renewals.get() > 2, "renewals are answered: " + renewals.get());
    LeaseOption keys = LeaseOption.builder().withAttachedKeys().build();
    check(insist(() -> client.getLeaseClient().timeToLive(kept, keys)).getKeys().size() == 1,
        "the lease has one key");
    renewing.close();
    insist(() -> client.getLeaseClient().revoke(kept));
    check(insist(() -> client.getKVClient().get(bytes("jetcd/lease"))).getCount() == 0,
        "a lease that was revoked takes its key along");
  }

  private void lock() throws Exception {
    long first = insist(() -> client.getLeaseClient().grant(30)).getID();
    long second = insist(() -> client.getLeaseClient().grant(30)).getID();
    ByteSequence key = insist(() -> client.getLockClient().lock(bytes("jetcd/lock"), first)).getKey();
    CompletableFuture<?> waiting = client.getLockClient().lock(bytes("jetcd/lock"), second);
    Thread.sleep(1_000);
    check(!waiting.isDone() || waiting.isCompletedExceptionally(), "the second waits");
    insist(() -> client.getLockClient().unlock(key));
    insist(() -> client.getLockClient().lock(bytes("jetcd/lock"), second));
    insist(() -> client.getLeaseClient().revoke(second));
  }

  private void election() throws Exception {
    long lease = insist(() -> client.getLeaseClient().grant(30)).getID();
    ByteSequence name = bytes("jetcd/election");
    CampaignResponse won =
        insist(() -> client.getElectionClient().campaign(name, lease, bytes("first")));
    LeaderResponse leader = insist(() -> client.getElectionClient().leader(name));
    check(leader.getKv().getValue().equals(bytes("first")), "who campaigned leads");
    insist(() -> client.getElectionClient().proclaim(won.getLeader(), bytes("again")));
    check(insist(() -> client.getElectionClient().leader(name)).getKv().getValue()
        .equals(bytes("again")), "what was proclaimed is told");
    insist(() -> client.getElectionClient().resign(won.getLeader()));
  }

  /** What may be repeated is, until it has an answer: members go away under it. */
  private static <T> T insist(Callable<CompletableFuture<T>> call) throws Exception {
    long end = System.currentTimeMillis() + 30_000;
    while (true) {
      try {
        return call.call().get(5, TimeUnit.SECONDS);
      } catch (Exception error) {
        if (System.currentTimeMillis() > end) throw error;
        Thread.sleep(100);
      }
    }
  }

  private static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  private static ByteSequence bytes(String text) {
    return ByteSequence.from(text, UTF_8);
  }
}
