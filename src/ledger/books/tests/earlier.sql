-- The books of an object that version 5a4e326 has written: every state, identifiers and a stored answer. Its own SQL, dumped.
CREATE TABLE answers (
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        status INTEGER NOT NULL,
        headers TEXT NOT NULL,
        body TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (asset, nonce)
    );
INSERT INTO "answers" VALUES('0xA','0x03',200,'[["a","b"]]','eA==',700);
CREATE TABLE authorizations (
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        binding TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        valid_before INTEGER NOT NULL,
        value TEXT NOT NULL,
        facilitator TEXT NOT NULL,
        settle_request TEXT NOT NULL,
        transaction_hash TEXT,
        reason TEXT,
        answered INTEGER NOT NULL DEFAULT 0,
        claimed_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL, mode TEXT NOT NULL DEFAULT 'after', network TEXT NOT NULL DEFAULT '', payer TEXT NOT NULL DEFAULT '', pay_to TEXT NOT NULL DEFAULT '', evidence TEXT, lost INTEGER NOT NULL DEFAULT 1, tries INTEGER NOT NULL DEFAULT 0, again_at INTEGER DEFAULT 0, identifier TEXT, reserved_by TEXT, purchase TEXT, guarded INTEGER NOT NULL DEFAULT 0, content TEXT, runs INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (asset, nonce)
    ) WITHOUT ROWID;
INSERT INTO "authorizations" VALUES('0xA','0x01','GET /a','claimed',1,140,400,'1000','https://f','{}',NULL,NULL,0,100,100,'after','eip155:84532','0xP','0xS',NULL,0,0,NULL,'id-1',NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x02','GET /a','settling',1,200,400,'1000','https://f','{}',NULL,NULL,0,100,101,'after','eip155:84532','0xP','0xS',NULL,0,1,200,'id-2',NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x03','GET /a','settled',1,200,400,'1000','https://f','','0xT3',NULL,1,100,102,'after','eip155:84532','0xP','0xS','told',0,1,NULL,'id-3',NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x04','GET /a','settled',1,200,400,'1000','https://f','','0xT4',NULL,0,100,102,'after','eip155:84532','0xP','0xS','told',0,1,NULL,'id-4',NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x05','GET /a','refused',1,200,400,'1000','https://f','',NULL,'poor',0,100,102,'after','eip155:84532','0xP','0xS',NULL,0,1,NULL,'id-5',NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x06','GET /a','unknown',1,102,400,'1000','https://f','{}',NULL,'silence',0,100,102,'after','eip155:84532','0xP','0xS',NULL,1,1,110,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x07','GET /a','released',1,140,400,'1000','https://f','{}',NULL,NULL,0,100,102,'after','eip155:84532','0xP','0xS',NULL,0,0,NULL,'id-7',NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x08','GET /a','spent',1,200,400,'1000','https://f','',NULL,'used',0,100,102,'after','eip155:84532','0xP','0xS',NULL,0,1,NULL,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x09','GET /a','lapsed',1,200,400,'1000','https://f','',NULL,NULL,0,100,102,'after','eip155:84532','0xP','0xS',NULL,0,1,NULL,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x10','GET /a','due',1,140,400,'1000','https://f','{}',NULL,NULL,1,100,102,'deferred','eip155:84532','0xP','0xS',NULL,0,0,102,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x11','GET /a','lapsed',1,200,400,'1000','https://f','',NULL,NULL,1,100,104,'deferred','eip155:84532','0xP','0xS',NULL,0,1,NULL,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x12','GET /a','settled',1,200,400,'1000','https://f','','0xT12',NULL,0,100,102,'before','eip155:84532','0xP','0xS','told',0,1,NULL,'id-12',NULL,'{"package":"small","credits":5,"lasts_seconds":null,"amount":"1","symbol":"USDC","account":null}',1,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x13','GET /a','failed',1,104,400,'1000','https://f','{}',NULL,'poor',1,100,104,'deferred','eip155:84532','0xP','0xS',NULL,0,1,108,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "authorizations" VALUES('0xA','0x14','GET /a','made_good',1,104,400,'1000','https://f','','0xT14','poor',1,100,105,'deferred','eip155:84532','0xP','0xS',NULL,0,1,NULL,NULL,NULL,NULL,0,NULL,0);
CREATE TABLE identifiers (
        id TEXT NOT NULL PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "identifiers" VALUES('id-1','GET /a body','0xA','0x01',4000);
INSERT INTO "identifiers" VALUES('id-12','GET /a body','0xA','0x12',9007199254740991);
INSERT INTO "identifiers" VALUES('id-2','GET /a body','0xA','0x02',4000);
INSERT INTO "identifiers" VALUES('id-3','GET /a body','0xA','0x03',4300);
INSERT INTO "identifiers" VALUES('id-4','GET /a body','0xA','0x04',4000);
INSERT INTO "identifiers" VALUES('id-5','GET /a body','0xA','0x05',4000);
INSERT INTO "identifiers" VALUES('id-7','GET /a body','0xA','0x07',4000);
