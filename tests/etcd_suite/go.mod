module datum.dev/etcd_suite

go 1.26

require (
	go.etcd.io/etcd/etcdctl/v3 v3.7.1
	go.etcd.io/etcd/etcdutl/v3 v3.7.1
	go.etcd.io/etcd/server/v3 v3.7.1
	go.etcd.io/etcd/tests/v3 v3.7.1
	go.etcd.io/etcd/v3 v3.7.1
)
