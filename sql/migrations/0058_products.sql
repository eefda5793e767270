-- Data products: results that were made from raw files, and are archived as files are.

ALTER TYPE frame_type ADD VALUE 'product' BEFORE 'unknown';

-- What was handed in together. Its files are rows of raw_data_file, at the buffer where they were put
-- down; they are packed by themselves.
CREATE TABLE data_product (
  id         uuid PRIMARY KEY DEFAULT new_id(),
  site       text NOT NULL DEFAULT this_site(),
  name       text NOT NULL,
  location   text NOT NULL REFERENCES data_location,
  note       text NOT NULL DEFAULT '',
  staging    uuid,                              -- the request that its raw files were staged by
  by         text NOT NULL DEFAULT this_actor(),
  begun      timestamptz NOT NULL DEFAULT now(),
  returned   timestamptz                        -- its files are registered; before, they are being put down
);
CREATE UNIQUE INDEX data_product_name ON data_product (name) WHERE returned IS NOT NULL;
-- What it was made from.
CREATE TABLE data_product_source (
  product uuid NOT NULL REFERENCES data_product,
  file    uuid NOT NULL REFERENCES raw_data_file,
  PRIMARY KEY (product, file));
CREATE INDEX data_product_source_file ON data_product_source (file);
ALTER TABLE raw_data_file ADD COLUMN product uuid REFERENCES data_product;
CREATE INDEX raw_data_file_product ON raw_data_file (product) WHERE product IS NOT NULL;
CREATE TRIGGER tell AFTER UPDATE ON data_product FOR EACH ROW EXECUTE FUNCTION tell_row('data product', 'name');

-- What a host needs beside what grant_host gives; those that have a role have it at once.
CREATE FUNCTION grant_products(host name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON data_product TO %I', host);
  EXECUTE format('GRANT SELECT, INSERT ON data_product_source TO %I', host);
END $$;
REVOKE ALL ON FUNCTION grant_products(name) FROM PUBLIC;
SELECT grant_products(h.role) FROM host_role h JOIN pg_roles r ON r.rolname = h.role;
