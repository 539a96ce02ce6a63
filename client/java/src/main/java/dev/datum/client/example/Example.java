// SPDX-License-Identifier: Apache-2.0
package dev.datum.client.example;

import com.google.protobuf.ByteString;
import dev.datum.client.etcdserverpb.KVGrpc;
import dev.datum.client.etcdserverpb.PutRequest;
import dev.datum.client.etcdserverpb.RangeRequest;
import dev.datum.client.etcdserverpb.RangeResponse;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.util.concurrent.TimeUnit;

/** Writes a datum through each endpoint and reads it back through every other. */
public final class Example {
  private static final int DEADLINE_SECONDS = 5;

  private Example() {}

  public static void main(String[] arguments) throws InterruptedException {
    String[] endpoints = endpointsOf(arguments);
    if (endpoints == null) {
      System.err.println("usage: Example --endpoints=HOST:PORT[,HOST:PORT...]");
      System.exit(2);
    }
    for (String writeTo : endpoints) {
      ByteString key = ByteString.copyFromUtf8("example/java/" + writeTo);
      ByteString value = ByteString.copyFromUtf8("written through " + writeTo);
      long revision = put(writeTo, key, value);
      for (String readFrom : endpoints) {
        RangeResponse response = get(readFrom, key);
        if (response.getKvsCount() != 1
            || !response.getKvs(0).getValue().equals(value)
            || response.getKvs(0).getModRevision() != revision) {
          System.err.println(readFrom + " does not have what was written: " + response);
          System.exit(1);
        }
        System.out.println(
            readFrom + ": " + key.toStringUtf8() + " = " + response.getKvs(0).getValue().toStringUtf8()
                + " (revision " + revision + ", timestamp " + response.getKvs(0).getVersion() + ")");
      }
    }
  }

  private static String[] endpointsOf(String[] arguments) {
    String prefix = "--endpoints=";
    if (arguments.length != 1 || !arguments[0].startsWith(prefix)) return null;
    return arguments[0].substring(prefix.length()).split(",");
  }

  private static long put(String endpoint, ByteString key, ByteString value)
      throws InterruptedException {
    ManagedChannel channel = connect(endpoint);
    try {
      PutRequest request = PutRequest.newBuilder().setKey(key).setValue(value).build();
      return stub(channel).put(request).getHeader().getRevision();
    } finally {
      close(channel);
    }
  }

  private static RangeResponse get(String endpoint, ByteString key) throws InterruptedException {
    ManagedChannel channel = connect(endpoint);
    try {
      return stub(channel).range(RangeRequest.newBuilder().setKey(key).build());
    } finally {
      close(channel);
    }
  }

  private static KVGrpc.KVBlockingStub stub(ManagedChannel channel) {
    return KVGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS);
  }

  private static ManagedChannel connect(String endpoint) {
    return Grpc.newChannelBuilder(endpoint, InsecureChannelCredentials.create()).build();
  }

  private static void close(ManagedChannel channel) throws InterruptedException {
    channel.shutdown().awaitTermination(DEADLINE_SECONDS, TimeUnit.SECONDS);
  }
}
