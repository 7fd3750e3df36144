//! All integration tests, as one binary: it links once and runs in parallel. A module is a subject.

mod audit;
mod cli;
mod client;
#[cfg(feature = "cluster")]
mod cluster_gifts;
#[cfg(feature = "cluster")]
mod cluster_process;
#[cfg(feature = "cluster")]
mod cluster_rig;
mod config;
mod crashes;
mod data_tools;
mod disk_faults;
#[cfg(feature = "cluster")]
mod fault_proxy;
mod fuzz_corpus;
mod fuzz_targets;
mod fuzz_tlv;
mod gift_api;
mod gift_cluster_clients;
mod gift_cluster_faults;
#[cfg(feature = "cluster")]
mod gift_cluster_keys;
mod gift_cluster_mongo;
mod gift_cluster_node;
mod gift_cluster_redis;
#[cfg(feature = "cluster")]
mod gift_cluster_script_cost;
#[cfg(feature = "cluster")]
mod gift_cluster_scripts;
mod gift_cluster_sim;
#[cfg(feature = "cluster")]
mod gift_cluster_suite;
mod gift_cluster_world;
mod gift_crash;
mod gift_local;
mod gift_local_rig;
mod gift_model;
mod gift_process;
mod gift_rig;
mod gift_suite;
mod hard_limits;
mod hard_process;
mod http_conversation;
mod http_head;
mod http_rig;
mod http_router;
mod http_splits;
#[cfg(feature = "cluster")]
mod mongo_lane;
#[cfg(feature = "cluster")]
mod mongo_server;
mod net_accept;
mod net_bytes;
mod net_harness;
mod net_lifecycle;
mod net_topics;
mod ops_metrics;
mod ops_pprof;
mod ops_slow;
mod packet_draw;
mod packet_proof;
mod packet_rig;
#[cfg(feature = "cluster")]
mod redis_cluster_lane;
#[cfg(feature = "cluster")]
mod redis_lane;
#[cfg(feature = "cluster")]
mod redis_server;
#[cfg(feature = "cluster")]
mod redis_tls;
mod server;
mod server_rules;
mod tidy;
mod tlv_session;
mod tlv_talk;
