"""C++ from .proto files by the system's protoc and grpc_cpp_plugin."""

def datum_proto_library(name, srcs, deps = [], grpc = False, **kwargs):
    """A cc_library with the generated messages, or the generated stubs.

    Generated names are workspace relative: "proto/etcd/rpc.proto" is included as
    "proto/etcd/rpc.pb.h".

    Args:
      name: of the cc_library.
      srcs: .proto files of this package.
      deps: cc_libraries this one's generated code includes.
      grpc: if true the stubs (.grpc.pb.*) of services, else the messages (.pb.*).
      **kwargs: go to the cc_library.
    """
    suffix = ".grpc.pb" if grpc else ".pb"
    stems = [src[:-len(".proto")] for src in srcs]
    headers = [stem + suffix + ".h" for stem in stems]
    sources = [stem + suffix + ".cc" for stem in stems]
    if grpc:
        out = "--plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) --grpc_out=$(GENDIR)"
    else:
        out = "--cpp_out=$(GENDIR)"
    native.genrule(
        name = name + "_generated",
        # protoc reads imports, so every .proto file of the package is an input.
        srcs = srcs + ["//proto:all_protos"],
        outs = headers + sources,
        cmd = "protoc -I. " + out + " " + " ".join(["$(location %s)" % src for src in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        deps = deps + [
            "//third_party:grpc" if grpc else "//third_party:protobuf",
        ],
        **kwargs
    )
