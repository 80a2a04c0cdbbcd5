BEGIN TRANSACTION;
CREATE TABLE alarm_log (
	entry INTEGER NOT NULL, 
	alarm_id VARCHAR(24) NOT NULL, 
	at BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	from_state VARCHAR(20) NOT NULL, 
	to_state VARCHAR(20) NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (entry), 
	FOREIGN KEY(alarm_id) REFERENCES alarms (alarm_id)
);
INSERT INTO "alarm_log" VALUES(1,'ff15dcb1076317c0abdcb540',1795000010000,'wang','operator','ack','unacked','acked','');
INSERT INTO "alarm_log" VALUES(2,'ded298ac0a116b6b926068ff',1795000010000,'li','dispatcher','suppress','unacked','suppressed','pump is off');
CREATE TABLE alarms (
	alarm_id VARCHAR(24) NOT NULL, 
	rule_id TEXT NOT NULL, 
	rule_version INTEGER NOT NULL, 
	point INTEGER NOT NULL, 
	raised_at BIGINT NOT NULL, 
	detected_at BIGINT NOT NULL, 
	cleared_at BIGINT, 
	value FLOAT, 
	"limit" FLOAT, 
	level VARCHAR(8) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	event_id VARCHAR(20), 
	device_id TEXT NOT NULL, 
	quantity TEXT NOT NULL, 
	utility VARCHAR(16), 
	area_code VARCHAR(32), 
	lsn BIGINT NOT NULL, 
	detail TEXT NOT NULL, 
	active BOOLEAN NOT NULL, 
	acked BOOLEAN NOT NULL, 
	acked_at BIGINT, 
	acked_by TEXT, 
	shelved_until BIGINT, 
	suppressed BOOLEAN NOT NULL, 
	out_of_service BOOLEAN NOT NULL, 
	clear_detected_at BIGINT, 
	clear_value FLOAT, 
	clear_lsn BIGINT, 
	stored_at BIGINT NOT NULL, 
	PRIMARY KEY (alarm_id), 
	FOREIGN KEY(event_id) REFERENCES events (event_id)
);
INSERT INTO "alarms" VALUES('ff15dcb1076317c0abdcb540','ch4.high',1,0,1795000000000,1795000002000,NULL,26.5,25.0,'orange','acked','b777f88478b2ba797e0d','G00000','ch4','gas','410105',1,'',1,1,1795000010000,'wang',NULL,0,0,NULL,NULL,NULL,1795000010000);
INSERT INTO "alarms" VALUES('19260fa816a8d0c3edabaf1c','ch4.rate',1,2,1795000000005,1795000002005,1795000005000,26.5,25.0,'yellow','returned-unacked','b777f88478b2ba797e0d','G00002','ch4','gas','410105',1,'',0,0,NULL,NULL,NULL,0,0,1795000005500,3.0,2,1795000010000);
INSERT INTO "alarms" VALUES('4e88e4b0b00d8c6f47d0f15b','ch4.highhigh',1,1,1795000000009,1795000002009,NULL,26.5,25.0,'red','unacked','9b8a621de44aaabb6eab','G00001','ch4','water','410102001',1,'',1,0,NULL,NULL,NULL,0,0,NULL,NULL,NULL,1795000010000);
INSERT INTO "alarms" VALUES('ded298ac0a116b6b926068ff','stuck',1,3,1795000000007,1795000002007,NULL,26.5,25.0,'blue','suppressed','06201cd651194e8099b5','G00003','ch4','water','410102001',1,'',1,0,NULL,NULL,NULL,1,0,NULL,NULL,NULL,1795000010000);
CREATE TABLE event_log (
	event_id VARCHAR(20) NOT NULL, 
	at BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	from_status VARCHAR(20), 
	to_status VARCHAR(20) NOT NULL, 
	note TEXT NOT NULL, 
	fields TEXT NOT NULL, 
	entry INTEGER NOT NULL, 
	PRIMARY KEY (entry), 
	FOREIGN KEY(event_id) REFERENCES events (event_id)
);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000002000,'engine','system','open',NULL,'new','ch4.high · G00000/ch4','{}',1);
INSERT INTO "event_log" VALUES('9b8a621de44aaabb6eab',1795000002009,'engine','system','open',NULL,'new','ch4.highhigh · G00001/ch4','{}',2);
INSERT INTO "event_log" VALUES('06201cd651194e8099b5',1795000002007,'engine','system','open',NULL,'new','stuck · G00003/ch4','{}',3);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000010000,'wang','operator','file','new','filed','','{}',4);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000010000,'li','dispatcher','dispatch','filed','dispatched','','{"owner":"金水燃气所"}',5);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000010000,'zhao','operator','accept','dispatched','accepted','','{}',6);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000010000,'zhao','operator','handle','accepted','handling','','{}',7);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000010000,'zhao','operator','feed-back','handling','fed-back','阀门已紧固','{}',8);
INSERT INTO "event_log" VALUES('b777f88478b2ba797e0d',1795000010000,'li','dispatcher','close','fed-back','closed','checked','{"cause":"leak"}',9);
CREATE TABLE events (
	event_id VARCHAR(20) NOT NULL, 
	level VARCHAR(8) NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	utility VARCHAR(16), 
	title TEXT NOT NULL, 
	area_code VARCHAR(32), 
	raised_at BIGINT NOT NULL, 
	detected_at BIGINT NOT NULL, 
	dispatched_at BIGINT, 
	accepted_at BIGINT, 
	resolved_at BIGINT, 
	closed_at BIGINT, 
	due_at BIGINT, 
	owner TEXT, 
	alarm_count INTEGER NOT NULL, 
	cause TEXT, 
	false_alarm BOOLEAN, 
	satisfaction INTEGER, 
	mode VARCHAR(16) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	category VARCHAR(16) NOT NULL, 
	place_kind VARCHAR(16) NOT NULL, 
	place TEXT NOT NULL, 
	group_key TEXT NOT NULL, 
	is_open BOOLEAN NOT NULL, 
	active_count INTEGER NOT NULL, 
	normal_at BIGINT, 
	supervision INTEGER NOT NULL, 
	co_owners TEXT, 
	extension_until BIGINT, 
	source VARCHAR(16) NOT NULL, 
	first_alarm_id VARCHAR(24), 
	lsn BIGINT NOT NULL, 
	version INTEGER NOT NULL, 
	stored_at BIGINT NOT NULL, 
	PRIMARY KEY (event_id)
);
INSERT INTO "events" VALUES('b777f88478b2ba797e0d','orange','closed','gas','甲烷orange / Methane orange · V-0 · 金水区','410105',1795000000000,1795000002000,1795000010000,1795000010000,1795000010000,1795000010000,1795001802000,'金水燃气所',2,'leak',0,NULL,'normal','gas-leak','process','asset','V-0','gas-leakassetV-0',0,1,NULL,0,NULL,NULL,'telemetry','ff15dcb1076317c0abdcb540',1,7,1795000010000);
INSERT INTO "events" VALUES('9b8a621de44aaabb6eab','red','new','water','甲烷red / Methane red · G00001 · 410102001','410102001',1795000000009,1795000002009,NULL,NULL,NULL,NULL,1795000302009,NULL,1,NULL,NULL,NULL,'normal','gas-leak','process','device','G00001','gas-leakdeviceG00001',1,1,NULL,0,NULL,NULL,'telemetry','4e88e4b0b00d8c6f47d0f15b',1,1,1795000010000);
INSERT INTO "events" VALUES('06201cd651194e8099b5','blue','new','water','甲烷blue / Methane blue · G00003 · 410102001','410102001',1795000000007,1795000002007,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'normal','sensor-fault','process','device','G00003','sensor-faultdeviceG00003',1,1,NULL,0,NULL,NULL,'telemetry','ded298ac0a116b6b926068ff',1,1,1795000010000);
CREATE TABLE followers (
	name VARCHAR(64) NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "followers" VALUES('rules',8);
CREATE TABLE holds (
	rule_id TEXT NOT NULL, 
	point INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	until BIGINT, 
	since BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (rule_id, point, kind)
);
INSERT INTO "holds" VALUES('stuck',3,'suppressed',NULL,1795000010000,'li','pump is off');
CREATE TABLE meta (
	name VARCHAR(64) NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema_version',1);
INSERT INTO "meta" VALUES('revision.alarms',4);
INSERT INTO "meta" VALUES('revision.events',8);
INSERT INTO "meta" VALUES('revision.event_log',7);
CREATE INDEX events_open_by_time ON events (detected_at, event_id) WHERE is_open IS 1;
CREATE INDEX events_open_counted ON events (level, status) WHERE is_open IS 1;
CREATE INDEX events_by_time ON events (detected_at, event_id);
CREATE INDEX events_by_level ON events (level, detected_at, event_id);
CREATE INDEX events_open ON events (group_key) WHERE is_open IS 1;
CREATE INDEX events_by_status ON events (status, detected_at, event_id);
CREATE INDEX events_by_area ON events (area_code, detected_at, event_id);
CREATE INDEX events_by_utility ON events (utility, detected_at, event_id);
CREATE INDEX holds_by_until ON holds (until);
CREATE INDEX alarms_by_state ON alarms (state, detected_at, alarm_id);
CREATE INDEX alarms_by_event ON alarms (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX alarms_by_time ON alarms (detected_at, alarm_id);
CREATE INDEX alarms_by_point ON alarms (point, rule_id);
CREATE INDEX alarms_waiting ON alarms (detected_at, alarm_id) WHERE event_id IS NULL AND active IS 1 AND shelved_until IS NULL AND suppressed IS 0 AND out_of_service IS 0;
CREATE INDEX event_log_by_event ON event_log (event_id, entry);
CREATE INDEX alarm_log_by_alarm ON alarm_log (alarm_id, entry);
COMMIT;
